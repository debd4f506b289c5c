import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../icons.tsx';
import { read as kept, write as keep } from '../keep.ts';
import { Logo } from '../logo.tsx';
import type { Refused } from './ask.ts';
import { Controls } from './controls.tsx';
import { Gate, needsToken } from './gate.tsx';
import { Panel } from './panel.tsx';
import { days, read, unit, viewNames, write, type Choice } from './query.ts';
import { later } from './time.ts';
import { views } from './views.ts';
import { day } from './words.ts';

/** Where the browser keeps the token until the tab is closed. */
const tokenKey = 'report.token';

function keptToken(): string {
  const t = kept('session', tokenKey);
  return typeof t === 'string' ? t : '';
}

/** The page of reports. Who may see them is the gateway's to say: the page asks, and tells what it was told. */
export function Reports({ page }: { page: HTMLElement }) {
  const [now, setNow] = useState(() => new Date());
  const [choice, setChoice] = useState(() => read(location.pathname, location.search, now));
  const [token, setToken] = useState(keptToken);
  const [refused, setRefused] = useState<Refused>();
  const [some, setSome] = useState<boolean>(); // whether there is anything in this time; undefined until the first report is there
  const heading = useRef<HTMLHeadingElement>(null);
  const view = views[choice.view];

  useEffect(() => {
    const back = () => show(read(location.pathname, location.search, new Date()));
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  useEffect(() => {
    document.title = `${view.title} – Patchbay`;
  }, [view]);
  useEffect(() => document.querySelector('.views [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }), [choice.view]);
  // For style and tests: the page's state stands in its attributes.
  page.dataset.view = choice.view;
  page.dataset.state = refused ? refused.why : some === undefined ? 'loading' : some ? 'ready' : 'empty';

  const show = (c: Choice) => {
    setChoice(c);
    setNow(new Date());
    setRefused(undefined);
    setSome(undefined);
  };
  const set = (change: Partial<Choice>) => {
    const c = { ...choice, ...change };
    history.pushState(null, '', write(c));
    show(c);
  };
  const enter = (t: string, remember: boolean) => {
    keep('session', tokenKey, remember ? t : undefined);
    setToken(t);
    show(choice);
  };
  const { from, to } = days(choice, now);
  const backwards = to <= from;
  return (
    <div class="shell reports">
      <header class="bar">
        <Logo />
        <span class="who" />
        {token !== '' && (
          <button type="button" id="forget" class="quiet" onClick={() => enter('', false)}>
            <Icon name="leave" />
            Forget token
          </button>
        )}
        <a class="quiet" href="/" id="phone">
          <Icon name="phone" />
          <span>Telephone</span>
        </a>
      </header>
      <nav class="views" aria-label="Reports">
        {viewNames.map((name) => (
          <a
            key={name} href={write({ ...choice, view: name })} data-testid={`view-${name}`} aria-current={name === choice.view ? 'page' : undefined}
            onClick={(e) => {
              if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
              e.preventDefault();
              set({ view: name });
              heading.current?.focus();
            }}
          >
            {views[name].title}
          </a>
        ))}
      </nav>
      <main class="report">
        <div>
          <h1 tabIndex={-1} ref={heading}>{view.title}</h1>
          <p class="hint" id="about">{view.about}.{!backwards && ` ${from === later(to, -1) ? day(from) : `${day(from)} to ${day(later(to, -1))}`}, ${choice.zone.replaceAll('_', ' ')}.`}</p>
        </div>
        {!(refused && needsToken(refused)) && (
          <Controls choice={choice} set={set} refresh={() => show(choice)} divided={view.panels.some((p) => p.by === 'split')} />
        )}
        {backwards ? (
          <p class="warn" role="alert" id="backwards">The last day is before the first.</p>
        ) : refused ? (
          <div class="middle"><Gate refused={refused} again={() => show(choice)} enter={enter} /></div>
        ) : (
          view.panels.map((panel, n) => (
            <div key={[choice.view, n, choice.split, unit(choice, now)].join()} hidden={some === false || (n > 0 && some === undefined)}>
              <Panel
                panel={panel} choice={choice} now={now} token={token} refused={setRefused} came={n === 0 ? setSome : () => undefined}
                choose={(name, value) => set({ only: { ...choice.only, [name]: value } })}
              />
            </div>
          ))
        )}
        {!refused && !backwards && some === false && (
          <p class="card empty" id="empty" role="status">No calls in this time{Object.keys(choice.only).length > 0 && ', of those that were chosen'}.</p>
        )}
      </main>
    </div>
  );
}
