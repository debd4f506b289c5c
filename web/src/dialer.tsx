import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons.tsx';
import { Keypad } from './keypad.tsx';
import type { Phone } from './phone.ts';

interface Props {
  phone: Phone;
  text: string;
  setText(change: string | ((text: string) => string)): void;
  dial(number: string): void;
}

export function Dialer({ phone, text, setText, dial }: Props) {
  const input = useRef<HTMLInputElement>(null);
  // With a mouse the field is ready to type in; on a touch screen that would open the keyboard over the keypad.
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches && document.activeElement === document.body) input.current?.focus();
  }, []);

  const submit = (e: Event) => {
    e.preventDefault();
    if (text.trim() !== '') dial(text);
    else setText(phone.last);
  };
  const press = (key: string) => {
    phone.audio.key(key);
    setText((t) => t + key);
  };
  return (
    <form class="card dialer" onSubmit={submit} data-testid="dialer">
      <div class="display">
        <input
          id="number"
          ref={input}
          class="number"
          type="text"
          inputMode="tel"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          placeholder="Number or user"
          aria-label="Number or user to call"
          maxLength={128}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
        />
        <button
          type="button"
          id="erase"
          class="quiet round"
          aria-label="Erase the last digit"
          hidden={text === ''}
          onClick={() => setText((t) => t.slice(0, -1))}
        >
          <Icon name="backspace" />
        </button>
      </div>
      <Keypad press={press} plus />
      <button type="submit" id="dial" class="call-button" disabled={phone.line !== 'ready'} aria-label={text === '' ? 'Repeat the last number' : 'Call'}>
        <Icon name="phone" />
        Call
      </button>
    </form>
  );
}
