import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, Refused, why, type Answer } from './report/ask.ts';
import { currencies, curves, shares } from './report/data.ts';
import { days, question, read, unused, write } from './report/query.ts';
import { begins, isDay, later, slots, today } from './report/time.ts';
import { empty, type PlotOf } from './report/views.ts';
import { grouped, marks, rounded, show, time } from './report/words.ts';

const now = new Date('2026-03-14T23:30:00Z'); // in Berlin the 15th

test('days are those of the zone, whatever the clocks do', () => {
  assert.equal(today('Europe/Berlin', now), '2026-03-15');
  assert.equal(today('America/New_York', now), '2026-03-14');
  assert.equal(later('2026-02-28', 1), '2026-03-01');
  assert.equal(later('2026-03-01', -1), '2026-02-28');
  assert.equal(begins('2026-03-29', 'Europe/Berlin'), Date.parse('2026-03-29T00:00:00+01:00') / 1000);
  assert.equal(begins('2026-03-30', 'Europe/Berlin'), Date.parse('2026-03-30T00:00:00+02:00') / 1000);
  assert.equal(begins('2026-03-29', 'Atlantic/Azores'), Date.parse('2026-03-29T01:00:00Z') / 1000);
  assert.equal(begins('2026-09-06', 'America/Santiago'), Date.parse('2026-09-06T01:00:00-03:00') / 1000);
  assert.equal(begins('2026-04-24', 'Africa/Cairo'), Date.parse('2026-04-24T01:00:00+03:00') / 1000);
  assert.equal(begins('2026-10-26', 'Asia/Kolkata'), Date.parse('2026-10-26T00:00:00+05:30') / 1000);
  assert.ok(isDay('2026-03-01') && !isDay('2026-02-30') && !isDay('tomorrow'));
});

test('a day has as many hours as it has', () => {
  const hours = (from: string, to: string) => slots(from, to, 'hour', 'Europe/Berlin').length;
  assert.equal(hours('2026-03-29T00:00:00+01:00', '2026-03-30T00:00:00+02:00'), 23);
  assert.equal(hours('2026-10-25T00:00:00+02:00', '2026-10-26T00:00:00+01:00'), 25);
  const list = slots('2026-03-28T00:00:00+01:00', '2026-03-31T00:00:00+02:00', 'day', 'Europe/Berlin');
  assert.deepEqual(list.map((s) => new Date(s * 1000).toISOString()), ['2026-03-27T23:00:00.000Z', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z']);
  assert.equal(slots('2025-12-14T00:00:00Z', '2026-03-02T00:00:00Z', 'month', 'UTC').length, 4);
});

test('an address holds a choice', () => {
  const c = read('/reports/quality', '?range=days&from=2026-01-01&last=2026-01-31&zone=Asia/Tokyo&by=codec&trunk=a%26b&destination=', now);
  assert.deepEqual(c, {
    view: 'quality', range: 'days', from: '2026-01-01', last: '2026-01-31', zone: 'Asia/Tokyo', split: 'codec', only: { trunk: 'a&b', destination: '' },
  });
  const [path, search] = write(c).split('?');
  assert.deepEqual(read(path ?? '', '?' + search, now), c);
  assert.deepEqual(days(c, now), { from: '2026-01-01', to: '2026-02-01' });
  const odd = read('/reports/nothing', '?range=ever&zone=Mars/Olympus&by=colour&from=2026-02-30', now);
  assert.equal(odd.view, 'traffic');
  assert.equal(odd.range, '30d');
  assert.notEqual(odd.zone, 'Mars/Olympus');
});

test('ranges end with the day that it is', () => {
  const of = (range: string) => days(read('/reports', `?range=${range}&zone=Europe/Berlin`, now), now);
  assert.deepEqual(of('today'), { from: '2026-03-15', to: '2026-03-16' });
  assert.deepEqual(of('yesterday'), { from: '2026-03-14', to: '2026-03-15' });
  assert.deepEqual(of('7d'), { from: '2026-03-09', to: '2026-03-16' });
  assert.deepEqual(of('month'), { from: '2026-03-01', to: '2026-03-16' });
  assert.deepEqual(of('last-month'), { from: '2026-02-01', to: '2026-03-01' });
  assert.deepEqual(of('year'), { from: '2025-04-01', to: '2026-03-16' });
});

test('what a report doesn’t know isn’t asked of it', () => {
  const c = read('/reports/concurrency', '?zone=UTC&trunk=one&codec=PCMA/8000', now);
  assert.deepEqual(question(c, 'concurrency', '', '', now).params, { from: '2026-02-13', to: '2026-03-15', zone: 'UTC', trunk: 'one' });
  assert.deepEqual(unused(c), ['codec']);
  assert.equal(question(c, 'traffic', 'day', '-calls', now).params['codec'], 'PCMA/8000');
});

const plot: PlotOf = { title: '', unit: '', gap: 'zero', series: [{ column: 'calls', label: '' }, { column: 'asr', label: '' }] };
const answer = (rows: Answer['rows']): Answer => ({
  report: 'traffic', from: '2026-03-28T00:00:00+01:00', to: '2026-03-31T00:00:00+02:00', zone: 'Europe/Berlin', by: ['day'], source: 'rollups',
  columns: [
    { name: 'day', kind: 'time', title: 'Day', about: '' }, { name: 'calls', kind: 'count', title: 'Calls', about: '' }, { name: 'asr', kind: 'percent', title: 'ASR %', about: '' },
  ],
  rows, total: null, truncated: false,
});

test('days without calls are on the axis', () => {
  const a = answer([{ day: '2026-03-30T00:00:00+02:00', calls: 4, asr: null }, { day: '2026-03-28T00:00:00+01:00', calls: 2, asr: 50 }]);
  const [times, calls, asr] = curves(a, plot);
  assert.equal(times.length, 3);
  assert.deepEqual(calls, [2, 0, 4]);
  assert.deepEqual(asr, [50, 0, null]);
  assert.deepEqual(curves(a, { ...plot, gap: 'none' })[1], [2, null, 4]);
  assert.deepEqual(shares(a, 'calls'), [1, 0.5]);
  assert.ok(empty(answer([])) && !empty(a));
});

test('money in several currencies is drawn in the last, and not compared', () => {
  const a = answer([]);
  a.columns.push({ name: 'sell', kind: 'money', title: 'Sold', about: '' });
  a.rows = [
    { day: '2026-03-28T00:00:00+01:00', calls: 2, asr: 50, currency: 'EUR', sell: '9', buy: '1' },
    { day: '2026-03-29T00:00:00+01:00', calls: 3, asr: 50, currency: 'CHF+EUR', sell: null, buy: null },
    { day: '2026-03-30T00:00:00+02:00', calls: 4, asr: 50, currency: 'CHF', sell: '3', buy: '0' },
  ];
  const sold = { ...plot, money: true, series: [{ column: 'sell', label: '' }] };
  assert.deepEqual(currencies(a), ['EUR', 'CHF+EUR', 'CHF']);
  assert.deepEqual(curves(a, sold)[1], [null, null, 3]);
  assert.deepEqual(shares(a, 'sell'), [0, 0, 0]);
  assert.deepEqual(shares(a, 'calls'), [0.5, 0.75, 1]);
  a.rows = [{ day: '2026-03-28T00:00:00+01:00', calls: 2, asr: 50, currency: 'CHF', sell: '0', buy: '0' }, ...a.rows.slice(0, 1)];
  assert.deepEqual(currencies(a), ['EUR']);
});

test('money keeps its digits', () => {
  const money = { name: 'sell', kind: 'money', title: '', about: '' };
  assert.equal(show('12345678901234567890.1234567891', money, 'UTC'), '12,345,678,901,234,567,890.1234567891');
  assert.equal(show('-0.50', money, 'UTC'), '−0.50');
  assert.equal(rounded('12345678901234567890.125', 2), '12345678901234567890.13');
  assert.equal(rounded('-1.005', 2), '-1.01');
  assert.equal(rounded('-0.004', 2), '0.00');
  assert.equal(rounded('7', 2), '7.00');
  assert.equal(rounded('0.999', 2), '1.00');
  assert.equal(grouped('1000'), '1,000');
  assert.equal(grouped('NaN'), 'NaN');
  assert.equal(show(null, money, 'UTC'), '–');
});

test('times are told in the zone', () => {
  const at = Date.parse('2026-03-14T23:30:00Z');
  assert.equal(time(at, 'day', 'Europe/Berlin'), 'Sun, 15 Mar 2026');
  assert.equal(time(at, 'hour', 'Europe/Berlin'), '15 Mar, 00:30');
  assert.deepEqual(marks([1773529200, 1773532800], 3600, 'Europe/Berlin'), ['15 Mar', '01:00']);
});

test('a refusal says why', () => {
  assert.equal(why(403, false, undefined), 'token');
  assert.equal(why(403, true, undefined), 'role');
  assert.equal(why(401, true, undefined), 'wrong');
  assert.equal(why(503, true, 5), 'wait');
  assert.equal(why(503, true, undefined), 'away');
  assert.equal(why(400, false, undefined), 'question');
});

test('a long report tells how far it has come, however its lines arrive', async () => {
  const real = globalThis.fetch;
  const asked: string[] = [];
  let body: string[] = [];
  globalThis.fetch = async (url) => {
    asked.push(String(url));
    const bytes = new TextEncoder().encode(body.join(''));
    let at = 0;
    return new Response(
      new ReadableStream({
        pull(c) {
          if (at >= bytes.length) return c.close();
          c.enqueue(bytes.slice(at, (at += 7))); // also in the midst of a letter
        },
      }),
    );
  };
  try {
    const signal = new AbortController().signal;
    const q = { report: 'traffic', params: {} };
    const steps: string[] = [];
    const told = (done: number, of: number) => steps.push(`${done}/${of}`);
    const whole = { ...answer([{ day: '2026-03-30T00:00:00+02:00', calls: 4, asr: null }]), zone: 'Zürich – ☎' };
    body = ['{"progress":{"done":1,"of":2}}\n', '{"progress":{"done":2,"of":2}}\n', JSON.stringify(whole)];
    assert.deepEqual(await ask(q, '', signal, told), whole); // its last line without an end
    assert.deepEqual(steps, ['1/2', '2/2']);
    assert.match(asked[0] ?? '', /progress=true/);
    body = [JSON.stringify(whole), '\n'];
    assert.deepEqual(await ask(q, '', signal, told), whole);
    body = ['{"progress":{"done":1,"of":2}}\n', '{"error":"reports can’t be made now"}\n'];
    await assert.rejects(ask(q, '', signal, told), (err) => err instanceof Refused && err.why === 'away' && err.message.includes('can’t be made'));
    body = ['{"progress":{"done":1,"of":2}}\n'];
    await assert.rejects(ask(q, '', signal, told), /no report/);
    body = ['{"progress":{"done":1'];
    await assert.rejects(ask(q, '', signal, told), /can’t be read/);
    body = [];
    await assert.rejects(ask(q, '', signal, told), /no report/);
  } finally {
    globalThis.fetch = real;
  }
});

test('what waits behind a refusal isn’t asked', async () => {
  const real = globalThis.fetch;
  let asked = 0;
  globalThis.fetch = async () => {
    asked++;
    return new Response('{"error": "the token is wrong"}', { status: 401 });
  };
  try {
    const signal = new AbortController().signal;
    const q = { report: 'traffic', params: {} };
    const both = await Promise.allSettled([ask(q, 'a', signal), ask(q, 'a', signal)]);
    for (const x of both) assert.ok(x.status === 'rejected' && x.reason instanceof Refused && x.reason.why === 'wrong' && x.reason.message.includes('the token is wrong'));
    assert.equal(asked, 1);
    await assert.rejects(ask(q, 'b', signal));
    assert.equal(asked, 2);
    await assert.rejects(ask(q, 'spaces aren’t taken', signal), /letters/);
    assert.equal(asked, 2);
  } finally {
    globalThis.fetch = real;
  }
});
