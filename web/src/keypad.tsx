import { useRef } from 'preact/hooks';

const keys: [string, string][] = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'],
  ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'],
  ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'],
  ['*', ''], ['0', '+'], ['#', ''],
];

const names: Record<string, string> = { '*': 'star', '#': 'hash' };
const long = 500; // ms of pressing 0 for a plus

/** Keypad is the twelve keys; with plus, a long 0 is a plus. */
export function Keypad({ press, plus }: { press(key: string): void; plus?: boolean }) {
  const timer = useRef<number | undefined>(undefined);
  const held = useRef(false);
  const down = (key: string) => {
    held.current = false;
    clearTimeout(timer.current);
    if (!plus || key !== '0') return;
    timer.current = window.setTimeout(() => {
      held.current = true;
      press('+');
    }, long);
  };
  const click = (key: string) => {
    clearTimeout(timer.current);
    if (!held.current) press(key);
    held.current = false;
  };
  return (
    <div class="keypad" role="group" aria-label="Keypad">
      {keys.map(([key, letters]) => (
        <button
          key={key}
          type="button"
          class="key"
          data-testid={`key-${key}`}
          aria-label={names[key] ?? key}
          onPointerDown={() => down(key)}
          onPointerLeave={() => clearTimeout(timer.current)}
          onClick={() => click(key)}
        >
          <span class="digit">{key === '*' ? '∗' : key}</span>
          <span class="letters" aria-hidden="true">{key === '0' && !plus ? '' : letters}</span>
        </button>
      ))}
    </div>
  );
}
