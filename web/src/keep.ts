// What the page keeps in the browser. Storage may be refused (private windows, policies): then nothing is kept.

/** Reads a value as JSON, or gives undefined. */
export function read(storage: 'local' | 'session', key: string): unknown {
  try {
    const text = box(storage).getItem('patchbay.' + key);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Keeps a value as JSON; undefined removes it. */
export function write(storage: 'local' | 'session', key: string, value: unknown): void {
  try {
    if (value === undefined) box(storage).removeItem('patchbay.' + key);
    else box(storage).setItem('patchbay.' + key, JSON.stringify(value));
  } catch {
    // Not kept, and nothing else is lost by it.
  }
}

/** Removes all values whose keys begin so. */
export function forget(storage: 'local' | 'session', prefix: string): void {
  try {
    const keys = Array.from({ length: box(storage).length }, (_, i) => box(storage).key(i) ?? '');
    for (const key of keys) if (key.startsWith('patchbay.' + prefix)) box(storage).removeItem(key);
  } catch {
    // Where nothing can be kept, nothing was.
  }
}

function box(storage: 'local' | 'session'): Storage {
  return storage === 'local' ? window.localStorage : window.sessionStorage;
}
