import type { JSX } from 'preact';
import type { Answer, Column } from './ask.ts';
import { shares } from './data.ts';
import type { Panel } from './views.ts';
import { show } from './words.ts';

/** Kinds whose values stand to the right, so that digits are below each other. */
const right = ['count', 'seconds', 'minutes', 'ms', 'percent', 'score', 'number', 'money'];

interface Props {
  answer: Answer;
  panel: Panel;
  order: string;
  /** Undefined: the report has its own order alone. */
  setOrder?: ((order: string) => void) | undefined;
  /** Undefined: rows can't be chosen. */
  choose?: ((dimension: string, value: string) => void) | undefined;
}

/** A report's rows, and the sums of all of them. Heads sort, names of the first column choose the calls of that name. */
export function Table({ answer, panel, order, setOrder, choose }: Props) {
  const columns = arranged(answer.columns, panel);
  const share = panel.share ? shares(answer, panel.share) : undefined;
  const side = (c: Column) => (right.includes(c.kind) && c.name !== 'hour_of_day' ? 'right' : undefined);
  const dims = answer.by.length;
  return (
    <div class="scroll" role="region" aria-label={`Table: ${panel.title}`} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.name} scope="col" class={side(c)} title={c.about} aria-sort={sorted(order, c.name)}>
                {setOrder ? <Head column={c} order={order} setOrder={setOrder} /> : c.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {answer.rows.map((row, n) => (
            <tr key={n}>
              {columns.map((c, i) => {
                const text = show(row[c.name], c, answer.zone);
                if (i > 0 || dims === 0) return <td key={c.name} class={`${side(c) ?? ''} ${c.name === 'call' ? 'mono' : ''}`}>{text}</td>;
                return (
                  <th key={c.name} scope="row">
                    {choose && c.kind === 'text' ? (
                      <button type="button" class="name" title={`Only calls of ${text}`} onClick={() => choose(c.name, String(row[c.name] ?? ''))}>
                        {text}
                      </button>
                    ) : (
                      text
                    )}
                    {share && <Bar part={share[n] ?? 0} />}
                  </th>
                );
              })}
            </tr>
          ))}
        </tbody>
        {answer.total && dims > 0 && (
          <tfoot>
            <tr>
              {columns.map((c, i) => (i === 0 ? <th key={c.name} scope="row">Total</th> : <td key={c.name} class={side(c)}>{show(answer.total?.[c.name], c, answer.zone)}</td>))}
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

function arranged(columns: Column[], { first = [], last = [] }: Panel): Column[] {
  const rank = (c: Column) => (first.includes(c.name) ? first.indexOf(c.name) - first.length : last.includes(c.name) ? 1 : 0);
  return [...columns].sort((a, b) => rank(a) - rank(b));
}

function sorted(order: string, column: string): 'ascending' | 'descending' | undefined {
  return order === column ? 'ascending' : order === '-' + column ? 'descending' : undefined;
}

function Head({ column, order, setOrder }: { column: Column; order: string; setOrder(order: string): void }) {
  const now = sorted(order, column.name);
  // Of figures the greatest are wanted first.
  const next = now === 'descending' ? column.name : now === 'ascending' ? '-' + column.name : column.kind === 'text' ? column.name : '-' + column.name;
  return (
    <button type="button" class="head" data-order={column.name} onClick={() => setOrder(next)}>
      {column.title}
      <span aria-hidden="true">{now === 'ascending' ? ' ↑' : now === 'descending' ? ' ↓' : ''}</span>
    </button>
  );
}

/** A value's length beside the greatest one's; what is below zero is hatched. */
function Bar({ part }: { part: number }): JSX.Element {
  return <span class={part < 0 ? 'share below' : 'share'} aria-hidden="true" style={{ width: `calc(${Math.abs(part)} * (100% - 1.3rem))` }} />;
}
