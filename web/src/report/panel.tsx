import { useEffect, useState } from 'preact/hooks';
import { Icon } from '../icons.tsx';
import { ask, csv, Refused, type Answer } from './ask.ts';
import { currencies } from './data.ts';
import { Plot } from './plot.tsx';
import { question, unit, type Choice } from './query.ts';
import { Table } from './table.tsx';
import { empty, type Panel as Spec } from './views.ts';
import { dimension } from './words.ts';

interface Props {
  panel: Spec;
  choice: Choice;
  /** The time at which the page's reports are asked for; another one asks again. */
  now: Date;
  token: string;
  refused(r: Refused): void;
  choose(name: string, value: string): void;
  /** Told what came: whether there is anything to show. */
  came(some: boolean): void;
}

/** A report, asked for and shown. */
export function Panel({ panel, choice, now, token, refused, choose, came }: Props) {
  const [order, setOrder] = useState('');
  const [answer, setAnswer] = useState<Answer>();
  const [loading, setLoading] = useState(true);
  const [trouble, setTrouble] = useState('');
  const [come, setCome] = useState<[number, number]>(); // how far a long report has come
  const by = panel.by === 'time' ? unit(choice, now) : panel.by === 'split' ? choice.split : panel.by;
  const q = question(choice, panel.report, by, order, now);
  const key = JSON.stringify([q, token, now.getTime()]);

  useEffect(() => {
    const stop = new AbortController();
    setLoading(true);
    setCome(undefined);
    ask(q, token, stop.signal, (done, of) => {
      if (of > 1 && !stop.signal.aborted) setCome([done, of]);
    })
      .then((a) => {
        if (stop.signal.aborted) return;
        setAnswer(a);
        setLoading(false);
        came(!empty(a));
      })
      .catch((err: unknown) => {
        if (!stop.signal.aborted) refused(err instanceof Refused ? err : new Refused('away', String(err)));
      });
    return () => stop.abort();
  }, [key]);

  const save = () => {
    setTrouble('');
    csv(q, token)
      .then((file) => download(file, `${panel.report}-${q.params['from']}.csv`))
      .catch((err: unknown) => setTrouble(`The file didn’t come: ${err instanceof Error ? err.message : String(err)}`));
  };
  const title = panel.by === 'split' ? `By ${dimension(choice.split)}` : panel.title;
  const table = answer && <Table answer={answer} panel={{ ...panel, title }} order={order} setOrder={by === '' ? undefined : setOrder} choose={by === '' ? undefined : choose} />;
  return (
    <section class={`panel ${loading ? 'loading' : ''}`} data-panel={`${panel.report}-${by}`} data-loading={loading} aria-busy={loading} aria-label={title}>
      <div class="pane-head">
        <h2>{title}</h2>
        <span class="spacer">
          <span role="status">{loading && <><span class="spinner" aria-hidden="true" /> Adding up…</>}</span>
          {loading && come && <progress value={come[0]} max={come[1]} aria-label={`${title}: ${come[0]} of ${come[1]} steps`} />}
        </span>
        <button type="button" class="quiet" disabled={!answer} onClick={save}>
          <Icon name="save" />
          CSV
        </button>
      </div>
      {trouble !== '' && <p class="warn" role="alert">{trouble}</p>}
      {answer && (
        <>
          {panel.tiles && (
            <dl class="tiles">
              {panel.tiles.map((t) => {
                const value = t.of(answer);
                return (
                  <div class="card" key={t.label + t.unit} title={t.about}>
                    <dt>{t.label}</dt>
                    <dd>{value === undefined ? '–' : <>{value}{t.unit && <span class="unit"> {t.unit}</span>}</>}</dd>
                  </div>
                );
              })}
            </dl>
          )}
          {panel.plots?.some((p) => p.money) && currencies(answer).length > 1 && (
            <p class="hint">The house has had several currencies in this time: {currencies(answer).join(', ')}. Amounts are drawn in the last, and added up in none; choose “by currency of the house”.</p>
          )}
          {panel.plots && <div class="plots">{panel.plots.map((p) => <Plot key={p.title} answer={answer} of={p} />)}</div>}
          {panel.table === 'open' ? (
            <div class="card table">{answer.rows.length > 0 ? table : <p class="empty">Nothing was measured in this time.</p>}</div>
          ) : (
            <details class="card table">
              <summary>Table</summary>
              {table}
            </details>
          )}
          {answer.truncated && <p class="hint">Only the first {answer.rows.length} rows are shown{answer.total ? '; the total is of all' : ''}.</p>}
        </>
      )}
    </section>
  );
}

function download(file: Blob, name: string) {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(file);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}
