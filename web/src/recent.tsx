import { useState } from 'preact/hooks';
import type { CallRecord } from './api.ts';
import type { History } from './history.ts';
import { Icon } from './icons.tsx';
import { dialled, shown } from './number.ts';
import { useStore } from './store.ts';
import { codecWords, duration, moment, recordEnding } from './words.ts';

export function Recent({ history, dial, canDial }: { history: History; dial(number: string): void; canDial: boolean }) {
  useStore(history);
  const [open, setOpen] = useState('');
  return (
    <section class="pane card recent" aria-labelledby="recent-title" data-testid="recent" data-source={history.source} aria-busy={history.loading}>
      <header class="pane-head">
        <h2 id="recent-title">Last calls</h2>
        {history.source === 'gateway' ? (
          <button type="button" id="refresh" class="quiet round" aria-label="Load the calls anew" onClick={() => void history.refresh()}>
            <Icon name="refresh" />
          </button>
        ) : (
          history.records.length > 0 && <span class="hint">as this browser saw them</span>
        )}
      </header>
      {history.stale && <p class="hint" role="status">The gateway didn’t give its records. Shown are the last ones known.</p>}
      {history.records.length === 0 ? (
        <p class="empty">{history.loading ? 'Loading…' : 'No calls yet.'}</p>
      ) : (
        <ul class="records">
          {history.records.map((r) => (
            <Row key={r.id} record={r} open={open === r.id} toggle={() => setOpen(open === r.id ? '' : r.id)} dial={dial} canDial={canDial} />
          ))}
        </ul>
      )}
    </section>
  );
}

interface RowProps {
  record: CallRecord;
  open: boolean;
  toggle(): void;
  dial(number: string): void;
  canDial: boolean;
}

function Row({ record: r, open, toggle, dial, canDial }: RowProps) {
  const incoming = r.direction === 'in' || /^in/i.test(String(r.direction));
  const peer = shown((incoming ? r.from : r.to) ?? '') || 'anonymous';
  const answered = Boolean(r.answeredAt);
  const why = recordEnding({ direction: incoming ? 'in' : 'out', answered, ended: Boolean(r.endedAt), cause: r.cause ?? null, sip: r.sip ?? null });
  const details = `details-${r.id}`;
  return (
    <li class={open ? 'record open' : 'record'} data-testid="record" data-id={r.id} data-peer={peer} data-answered={answered} data-cause={why} data-codec={r.codec ?? ''}>
      <div class="record-row">
        <button type="button" class="record-main" aria-expanded={open} aria-controls={details} onClick={toggle}>
          <span class={answered ? 'way' : incoming && why === 'Missed' ? 'way missed' : 'way failed'} title={incoming ? 'incoming' : 'outgoing'}>
            <Icon name={incoming ? 'in' : 'out'} />
          </span>
          <span class="record-who">
            <span class="record-peer">{peer}</span>
            <span class="record-why">
              {incoming ? 'Incoming' : 'Outgoing'}
              {` · ${!r.endedAt ? 'Not over yet' : answered ? duration(r.durationMs ?? 0) : why}`}
            </span>
          </span>
          <time class="record-when" dateTime={r.startedAt}>{moment(new Date(r.startedAt), new Date())}</time>
        </button>
        <button type="button" class="quiet round" aria-label={`Call ${peer}`} disabled={!canDial || dialled(peer) === ''} onClick={() => dial(peer)}>
          <Icon name="phone" />
        </button>
      </div>
      {open && (
        <dl class="details" id={details}>
          <Fact name="From" value={shown(r.from ?? '')} />
          <Fact name="To" value={shown(r.to ?? '')} />
          <Fact name="Started" value={full(r.startedAt)} />
          <Fact name="Answered" value={r.answeredAt ? full(r.answeredAt) : 'no'} />
          <Fact name="Ended" value={r.endedAt ? full(r.endedAt) : 'still up'} />
          <Fact name="Duration" value={answered ? duration(r.durationMs ?? 0) : ''} />
          <Fact name="Cause" value={why} />
          <Fact name="SIP status" value={r.sip ? String(r.sip) : ''} />
          <Fact name="Codec" value={codecWords(r.codec ?? '')} />
          <Fact name="Quality" value={typeof r.mos === 'number' ? `MOS ${r.mos.toFixed(2)}` : ''} />
          <Fact name="Record" value={r.id} mono />
        </dl>
      )}
    </li>
  );
}

function Fact({ name, value, mono }: { name: string; value: string; mono?: boolean }) {
  if (value === '') return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd class={mono ? 'mono' : ''}>{value}</dd>
    </div>
  );
}

function full(at: string): string {
  const d = new Date(at);
  return Number.isNaN(d.getTime()) ? '' : d.toLocaleString([], { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });
}
