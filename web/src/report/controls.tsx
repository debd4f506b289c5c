import { useMemo } from 'preact/hooks';
import { Icon } from '../icons.tsx';
import { rangeNames, splits, unused, type Choice, type RangeName, type Split } from './query.ts';
import { isDay, zones } from './time.ts';
import { dimension } from './words.ts';

const ranges: Record<RangeName, string> = {
  today: 'Today', yesterday: 'Yesterday', '7d': 'Last 7 days', '30d': 'Last 30 days', month: 'This month', 'last-month': 'Last month', year: 'Last 12 months',
  days: 'From … to …',
};

/** Which time, which zone, told apart by what, and of which calls. */
export function Controls({ choice, set, refresh, divided }: { choice: Choice; set(change: Partial<Choice>): void; refresh(): void; divided: boolean }) {
  const all = useMemo(() => zones(choice.zone), [choice.zone]);
  const backwards = choice.range === 'days' && choice.last < choice.from;
  const useless = unused(choice);
  return (
    <>
      <div class="controls">
        <label class="field">
          <span>Time</span>
          <select id="range" value={choice.range} onChange={(e) => set({ range: e.currentTarget.value as RangeName })}>
            {rangeNames.map((name) => <option key={name} value={name}>{ranges[name]}</option>)}
          </select>
        </label>
        {choice.range === 'days' && (
          <>
            <label class="field">
              <span>From</span>
              <input id="from" type="date" value={choice.from} required onChange={(e) => isDay(e.currentTarget.value) && set({ from: e.currentTarget.value })} />
            </label>
            <label class="field">
              <span>To, with this day</span>
              <input id="last" type="date" value={choice.last} required aria-invalid={backwards} onChange={(e) => isDay(e.currentTarget.value) && set({ last: e.currentTarget.value })} />
            </label>
          </>
        )}
        <label class="field">
          <span>Time zone</span>
          <select id="zone" value={choice.zone} onChange={(e) => set({ zone: e.currentTarget.value })}>
            {all.map((z) => <option key={z} value={z}>{z.replaceAll('_', ' ')}</option>)}
          </select>
        </label>
        {divided && (
          <label class="field">
            <span>Tell apart by</span>
            <select id="split" value={choice.split} onChange={(e) => set({ split: e.currentTarget.value as Split })}>
              {splits.map((s) => <option key={s} value={s}>{dimension(s)}</option>)}
            </select>
          </label>
        )}
        <button type="button" class="plain" id="refresh" onClick={refresh}>
          <Icon name="refresh" />
          Refresh
        </button>
      </div>
      {Object.keys(choice.only).length > 0 && (
        <ul class="only" aria-label="Only calls of">
          {Object.entries(choice.only).map(([name, value]) => (
            <li key={name} class={useless.includes(name) ? 'useless' : ''}>
              {dimension(name)}: {value === '' ? 'none' : value}
              {useless.includes(name) && ' (not of this curve)'}
              <button type="button" class="quiet round" aria-label={`All calls, not only ${name} ${value}`} onClick={() => set({ only: Object.fromEntries(Object.entries(choice.only).filter(([n]) => n !== name)) })}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
