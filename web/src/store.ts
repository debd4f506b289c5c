import { useLayoutEffect, useReducer } from 'preact/hooks';

/** Store is something with state that the page shows. Whoever changes its fields calls changed() afterwards. */
export class Store {
  readonly #listeners = new Set<() => void>();

  /** Calls the listener after each change until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Renders the component again after each change of the store. */
export function useStore(store: Store): void {
  const [, render] = useReducer<number, void>((n) => n + 1, 0);
  useLayoutEffect(() => store.subscribe(() => render()), [store]);
}
