import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../icons.tsx';
import type { Refused, Why } from './ask.ts';

const words: Record<Why, string> = {
  token: 'Reports are shown to programs and people on the gateway’s own host, and to those who have a token of its settings with the role billing (its own tenant’s calls) or admin (all).',
  wrong: 'This token isn’t taken. It may be mistyped, expired, or removed from the settings.',
  role: 'This token is known, but it may not see this: reports need the role billing (its own tenant’s calls) or admin (all).',
  wait: 'Too many ask for reports just now.',
  question: 'The gateway can’t answer this question.',
  away: 'Reports can’t be made now: the gateway, or its database, can’t be reached.',
};

/** Whether another token could help. */
export function needsToken(r: Refused): boolean {
  return r.why === 'token' || r.why === 'wrong' || r.why === 'role';
}

/** What keeps reports from being shown, in words, and what can be done. */
export function Gate({ refused, again, enter }: { refused: Refused; again(): void; enter(token: string, keep: boolean): void }) {
  const [token, setToken] = useState('');
  const [keep, setKeep] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const ask = needsToken(refused);
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, [refused]);
  const submit = (e: Event) => {
    e.preventDefault();
    if (token.trim() !== '') enter(token.trim(), keep);
  };
  return (
    <form class="card login" onSubmit={submit} aria-labelledby="gate-title" data-why={refused.why} id="gate">
      <h1 id="gate-title">{ask ? 'Reports need a token' : 'No report'}</h1>
      <div role="alert" class="trouble">
        <div class={`problem ${refused.why === 'token' ? 'soft' : ''}`}>
          <Icon name="alert" />
          <p>
            {words[refused.why]}
            {refused.after !== undefined && ` Try again in ${refused.after} s.`}
          </p>
        </div>
      </div>
      <p class="hint">{refused.message}</p>
      {ask ? (
        <>
          <label class="field">
            <span>Token</span>
            <input
              id="token" ref={field} type="password" autocomplete="off" autocapitalize="none" spellcheck={false} required
              aria-invalid={refused.why === 'wrong'} value={token} onInput={(e) => setToken(e.currentTarget.value)}
            />
          </label>
          <label class="check">
            <input id="keep" type="checkbox" checked={keep} onChange={(e) => setKeep(e.currentTarget.checked)} />
            <span>Keep it until this tab is closed</span>
          </label>
          <button type="submit" class="main" id="enter">Show reports</button>
        </>
      ) : (
        <button type="button" class="main" id="again" onClick={again}>Try again</button>
      )}
    </form>
  );
}
