import { useEffect, useState } from 'preact/hooks';
import { AudioPane } from './audiopane.tsx';
import { CallPane, Over, Waiting } from './callpane.tsx';
import { Dialer } from './dialer.tsx';
import { Icon } from './icons.tsx';
import { Login } from './login.tsx';
import { Logo } from './logo.tsx';
import type { Phone } from './phone.ts';
import { Recent } from './recent.tsx';
import { useStore } from './store.ts';

/** On a narrow screen one of these is in sight, on a wide one all are. */
type View = 'phone' | 'recent' | 'audio';

const lines = { out: 'Logged out', entering: 'Connecting…', ready: 'Ready', away: 'Gateway away' };

export function App({ phone, page }: { phone: Phone; page: HTMLElement }) {
  useStore(phone);
  const [view, setView] = useState<View>('phone');
  const [text, setText] = useState('');
  const running = phone.running().length;
  const ringing = phone.calls.find((c) => c.state === 'incoming');

  // For style and tests: the page's state stands in its attributes.
  page.dataset.line = phone.line;
  page.dataset.call = phone.calls[0]?.state ?? 'none';
  page.dataset.view = view;

  useEffect(() => {
    document.title = ringing ? `${ringing.peer} is calling` : running > 0 ? 'In a call – Patchbay' : 'Patchbay';
  }, [ringing, running]);
  useEffect(() => {
    if (ringing) setView('phone');
  }, [ringing]);
  useKeys(phone, setText, setView);

  if (phone.line === 'out' || phone.line === 'entering') return <Login phone={phone} />;

  const dial = (number: string) => {
    setView('phone');
    void phone.call(number).then((begun) => begun && setText(''));
  };
  const [first, ...others] = phone.calls;
  return (
    <div class="shell">
      <header class="bar">
        <Logo />
        <span class={`line ${phone.line}`} role="status" data-testid="line">
          <span class="dot" />
          {lines[phone.line]}
        </span>
        <span class="who" data-testid="who">{phone.user}</span>
        <a class="quiet round" id="reports" href="/reports" target="_blank" rel="noopener" title="Reports" aria-label="Reports of calls, in a new tab">
          <Icon name="bars" />
        </a>
        <button type="button" id="logout" class="quiet" onClick={() => phone.logout()}>
          <Icon name="leave" />
          <span>Log out</span>
        </button>
      </header>
      <main class="panes">
        <section class="pane phone" aria-label="Telephone">
          <Trouble phone={phone} />
          {others.map((c) => (
            <Waiting key={c.id} phone={phone} call={c} />
          ))}
          {first?.state === 'ended' && <Over key={first.id} phone={phone} call={first} />}
          {first && first.state !== 'ended' ? (
            <CallPane key={first.id} phone={phone} call={first} />
          ) : (
            <Dialer phone={phone} text={text} setText={setText} dial={dial} />
          )}
        </section>
        <div class="side">
          <Recent history={phone.history} dial={dial} canDial={phone.line === 'ready'} />
          <AudioPane audio={phone.audio} inCall={running > 0} />
        </div>
      </main>
      <nav class="tabs" aria-label="Views">
        <Tab view="phone" now={view} set={setView} icon={running > 0 ? 'phone' : 'pad'} label={running > 0 ? 'Call' : 'Keypad'} />
        <Tab view="recent" now={view} set={setView} icon="clock" label="Calls" />
        <Tab view="audio" now={view} set={setView} icon="sound" label="Audio" />
      </nav>
    </div>
  );
}

/** What went wrong, until it is over or read. */
export function Trouble({ phone }: { phone: Phone }) {
  const problem = phone.problem;
  return (
    <div class="trouble" role="alert">
      {problem && (
        <div class={`problem ${problem.about === 'away' || problem.about === 'busy' ? 'soft' : ''}`} id="problem" data-problem={problem.about}>
          <Icon name="alert" />
          <p>{problem.words}</p>
          {problem.about === 'away' && phone.line === 'away' ? (
            <button type="button" class="quiet" id="retry" onClick={() => phone.reconnect()}>
              Try now
            </button>
          ) : (
            phone.line === 'ready' && (
              <button type="button" class="quiet round" aria-label="Close this message" onClick={() => phone.clearProblem()}>
                <Icon name="close" />
              </button>
            )
          )}
        </div>
      )}
    </div>
  );
}

function Tab(p: { view: View; now: View; set(v: View): void; icon: 'phone' | 'pad' | 'clock' | 'sound'; label: string }) {
  return (
    <button type="button" data-testid={`tab-${p.view}`} aria-current={p.view === p.now ? 'page' : undefined} onClick={() => p.set(p.view)}>
      <Icon name={p.icon} />
      {p.label}
    </button>
  );
}

/** The computer's keys are the telephone's: digits, * and # go to the number, or to the call that is up. */
function useKeys(phone: Phone, setText: (change: (text: string) => string) => void, setView: (v: View) => void) {
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (phone.line !== 'ready' || e.ctrlKey || e.metaKey || e.altKey || typesInto(e.target)) return;
      if (/^[0-9*#]$/.test(e.key) && phone.dtmf(e.key)) return;
      if (phone.running().length > 0) return;
      if (/^[0-9*#+]$/.test(e.key)) {
        setText((text) => text + e.key);
        setView('phone');
        document.getElementById('number')?.focus();
        e.preventDefault();
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [phone]);
}

function typesInto(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, select, textarea') !== null;
}
