import { useEffect, useRef, useState } from 'preact/hooks';
import type { Call } from './call.ts';
import { Icon } from './icons.tsx';
import { Keypad } from './keypad.tsx';
import { Level } from './level.tsx';
import type { Phone } from './phone.ts';
import { useStore } from './store.ts';
import { codecWords, duration } from './words.ts';

/** What a call does, in words. */
function stateWords(call: Call): string {
  switch (call.state) {
    case 'dialing':
      return 'Calling…';
    case 'ringing':
      return 'Ringing…';
    case 'early':
      return 'Connecting…';
    case 'incoming':
      return 'Incoming call';
    case 'answering':
      return 'Answering…';
    case 'ended':
      return call.ending;
    case 'talking':
      if (call.held) return 'On hold';
      return call.heldByPeer ? 'The other side holds the call' : 'Connected';
  }
}

/** CallPane is the call in front. Its attributes tell all that is shown. */
export function CallPane({ phone, call }: { phone: Phone; call: Call }) {
  useStore(call);
  const [pad, setPad] = useState(false);
  const [sent, setSent] = useState('');
  const answer = useRef<HTMLButtonElement>(null);
  const incoming = call.state === 'incoming';
  const up = call.state === 'talking' || call.state === 'early';

  // Enter answers, unless the person is about something else.
  useEffect(() => {
    if (incoming && document.activeElement === document.body) answer.current?.focus();
  }, [incoming]);

  const press = (key: string) => {
    call.dtmf(key);
    setSent((s) => (s + key).slice(-24));
  };
  return (
    <article
      class={`card call is-${call.state}${pad && up ? ' with-pad' : ''}`}
      {...told(call)}
      aria-label={`Call with ${call.name || call.peer}`}
    >
      <div class="party">
        <div class={incoming ? 'avatar pulse' : 'avatar'} aria-hidden="true">
          {initial(call) || <Icon name="phone" />}
        </div>
        <h2>{call.name || call.peer}</h2>
        {call.name && <p class="number-small">{call.peer}</p>}
        <p class="state" role="status">{stateWords(call)}</p>
        {call.answeredAt > 0 && <Timer call={call} />}
      </div>

      {call.blocked && (
        <button type="button" class="plain wide" onClick={() => call.unblock()}>
          <Icon name="sound" />
          Press to hear the other side
        </button>
      )}

      {incoming && (
        <div class="choices">
          <button type="button" id="decline" class="hang" onClick={() => call.decline()}>
            <Icon name="phone" turned />
            Decline
          </button>
          <button type="button" id="accept" class="take" ref={answer} onClick={() => void phone.accept(call)}>
            <Icon name="phone" />
            Accept
          </button>
        </div>
      )}

      {up && (
        <>
          {pad ? (
            <div class="sent-pad">
              <output class="sent" id="sent" aria-label="Digits sent">{sent || ' '}</output>
              <Keypad press={press} />
            </div>
          ) : (
            <div class="levels">
              <Level id="level" label="You" read={call.readLevel} />
              <Level id="heard" label="Them" read={() => heard(call)} />
            </div>
          )}
          <div class="tools" role="group" aria-label="Call">
            <Tool id="mute" on={call.muted} icon={call.muted ? 'micOff' : 'mic'} label={call.muted ? 'Unmute' : 'Mute'} click={() => call.mute(!call.muted)} />
            <Tool
              id="hold"
              on={call.held}
              icon={call.held ? 'play' : 'pause'}
              label={call.held ? 'Resume' : 'Hold'}
              disabled={!call.talking || call.changing}
              click={() => void call.hold(!call.held)}
            />
            <Tool id="pad" on={pad} icon="pad" label="Keypad" disabled={call.held} click={() => setPad(!pad)} />
          </div>
        </>
      )}

      {call.talking && !pad && <Facts call={call} />}

      {!incoming && (
        <button type="button" id="hangup" class="hang wide" onClick={() => call.hangUp()}>
          <Icon name="phone" turned />
          {call.talking ? 'Hang up' : 'Cancel'}
        </button>
      )}
    </article>
  );
}

/** A call's attributes, for style and tests: all that is shown of it. */
function told(call: Call) {
  const q = call.quality;
  return {
    'data-testid': 'call',
    'data-state': call.state,
    'data-direction': call.direction,
    'data-peer': call.peer,
    'data-muted': call.muted,
    'data-held': call.held,
    'data-held-by-peer': call.heldByPeer,
    'data-codec': q?.codec ?? '',
    'data-loss': q ? q.loss.toFixed(1) : '',
    'data-round-trip': q?.roundTrip === undefined ? '' : Math.round(q.roundTrip),
    'data-received': call.received,
    'data-ending': call.ending,
  };
}

/** Over is a call that has just ended: a notice above the keypad. */
export function Over({ phone, call }: { phone: Phone; call: Call }) {
  useStore(call);
  return (
    <article class="card over" {...told(call)} aria-label={`Call with ${call.name || call.peer}`}>
      <div class="over-words">
        <strong>{call.name || call.peer}</strong>
        <span role="status">{call.ending}</span>
      </div>
      {call.answeredAt > 0 && <Timer call={call} />}
      <button type="button" id="dismiss" class="quiet round" aria-label="Close this notice" onClick={() => phone.dismiss(call)}>
        <Icon name="close" />
      </button>
    </article>
  );
}

/** Waiting is a call behind the one in front: it rings, or it is held. */
export function Waiting({ phone, call }: { phone: Phone; call: Call }) {
  useStore(call);
  const incoming = call.state === 'incoming';
  return (
    <article class={`card waiting is-${call.state}`} data-testid="waiting" data-state={call.state} data-peer={call.peer} data-held={call.held}>
      <div class="waiting-words">
        <strong>{call.name || call.peer}</strong>
        <span role="status">{stateWords(call)}</span>
      </div>
      {incoming && (
        <>
          <button type="button" class="hang small" data-testid="decline-waiting" onClick={() => call.decline()}>
            Decline
          </button>
          <button type="button" class="take small" data-testid="accept-waiting" onClick={() => void phone.accept(call)}>
            Hold and answer
          </button>
        </>
      )}
      {call.talking && (
        <>
          <button type="button" class="plain small" data-testid="swap" onClick={() => void phone.swap(call)}>
            <Icon name="swap" />
            Swap
          </button>
          <button type="button" class="hang small" data-testid="hangup-waiting" onClick={() => call.hangUp()}>
            Hang up
          </button>
        </>
      )}
    </article>
  );
}

function Tool(p: { id: string; on: boolean; icon: 'mic' | 'micOff' | 'pause' | 'play' | 'pad'; label: string; disabled?: boolean; click(): void }) {
  return (
    <button type="button" id={p.id} class="tool" aria-pressed={p.on} disabled={p.disabled ?? false} onClick={p.click}>
      <span class="tool-face">
        <Icon name={p.icon} />
      </span>
      {p.label}
    </button>
  );
}

function Timer({ call }: { call: Call }) {
  const [now, setNow] = useState(call.seconds());
  const over = call.state === 'ended';
  useEffect(() => {
    if (over) return;
    const timer = setInterval(() => setNow(call.seconds()), 250);
    return () => clearInterval(timer);
  }, [call, over]);
  return (
    <p class="timer" role="timer" data-testid="timer" data-seconds={now}>
      {duration(now * 1000)}
    </p>
  );
}

/** Codec, loss, round trip: what tells a good line from a bad one. */
function Facts({ call }: { call: Call }) {
  const q = call.quality;
  const quiet = q !== undefined && q.silent >= 4000 && !call.held && !call.heldByPeer;
  const bad = (q?.loss ?? 0) >= 3 || (q?.lossOut ?? 0) >= 3;
  return (
    <>
      {quiet && <p class="warn" data-testid="no-sound">No sound arrives from the gateway.</p>}
      <dl class={bad ? 'facts bad' : 'facts'}>
        <div>
          <dt>Codec</dt>
          <dd id="codec">{codecWords(q?.codec ?? '') || '–'}</dd>
        </div>
        <div>
          <dt>Loss in</dt>
          <dd id="loss">{q ? `${q.loss.toFixed(1)} %` : '–'}</dd>
        </div>
        <div>
          <dt>Loss out</dt>
          <dd id="loss-out">{q?.lossOut === undefined ? '–' : `${q.lossOut.toFixed(1)} %`}</dd>
        </div>
        <div>
          <dt>Round trip</dt>
          <dd id="round-trip">{q?.roundTrip === undefined ? '–' : `${Math.round(q.roundTrip)} ms`}</dd>
        </div>
      </dl>
    </>
  );
}

/** The other side's loudness on the scale of Level: the browser tells it as an amplitude. */
function heard(call: Call): number {
  const amplitude = call.quality?.heard ?? 0;
  if (amplitude <= 0 || (call.quality?.silent ?? 0) > 500) return 0;
  return Math.min(1, Math.max(0, (20 * Math.log10(amplitude) + 60) / 54));
}

/** The first letter of a name; "" of a number. */
function initial(call: Call): string {
  const c = [...(call.name || call.peer)].find((s) => /[\p{L}]/u.test(s));
  return c ? c.toUpperCase() : '';
}
