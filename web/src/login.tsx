import { useEffect, useRef, useState } from 'preact/hooks';
import { Trouble } from './app.tsx';
import { Logo } from './logo.tsx';
import type { Phone } from './phone.ts';

export function Login({ phone }: { phone: Phone }) {
  const [user, setUser] = useState(phone.user);
  const [password, setPassword] = useState('');
  const [remember, setRemember] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  const second = useRef<HTMLInputElement>(null);
  const entering = phone.line === 'entering';
  const wrong = phone.problem?.about === 'password';

  useEffect(() => first.current?.focus(), []);
  useEffect(() => {
    if (wrong) second.current?.select();
  }, [wrong]);

  const submit = (e: Event) => {
    e.preventDefault();
    if (user.trim() !== '' && password !== '') void phone.login(user.trim(), password, remember);
  };
  return (
    <main class="gate">
      <form class="card login" onSubmit={submit} aria-labelledby="welcome" aria-busy={entering}>
        <Logo />
        <h1 id="welcome">Log in to your telephone</h1>
        <label class="field">
          <span>User</span>
          <input
            id="user"
            ref={first}
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
            disabled={entering}
            aria-invalid={wrong}
            value={user}
            onInput={(e) => setUser(e.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>Password</span>
          <input
            id="password"
            ref={second}
            name="password"
            type="password"
            autocomplete="current-password"
            required
            disabled={entering}
            aria-invalid={wrong}
            value={password}
            onInput={(e) => setPassword(e.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input id="remember" type="checkbox" disabled={entering} checked={remember} onChange={(e) => setRemember(e.currentTarget.checked)} />
          <span>Stay logged in until this tab is closed</span>
        </label>
        <Trouble phone={phone} />
        {entering ? (
          <div class="row">
            <button type="button" class="main" disabled>
              <span class="spinner" aria-hidden="true" />
              Connecting…
            </button>
            <button type="button" id="cancel" class="plain" onClick={() => phone.logout()}>
              Cancel
            </button>
          </div>
        ) : (
          <button type="submit" id="login" class="main">
            Log in
          </button>
        )}
        <a class="hint" href="/reports">Reports of calls</a>
      </form>
    </main>
  );
}
