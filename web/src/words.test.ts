import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, ending, moment, reason } from './words.ts';

test('Reason headers', () => {
  assert.deepEqual(reason('Q.850;cause=17;text="User busy"'), { protocol: 'Q.850', cause: 17, text: 'User busy' });
  assert.deepEqual(reason('SIP ; cause=200 ; text="Call completed; elsewhere"'), {
    protocol: 'SIP',
    cause: 200,
    text: 'Call completed; elsewhere',
  });
  assert.deepEqual(reason('q.850'), { protocol: 'Q.850', cause: 0, text: '' });
  assert.equal(reason(undefined), undefined);
  assert.equal(reason(''), undefined);
  assert.equal(reason(';cause=1'), undefined);
});

test('why a call ended', () => {
  const said = (status: number, header: string, answered = false) => ending({ status, reason: reason(header), answered });
  assert.equal(said(486, ''), 'Busy');
  assert.equal(said(404, ''), 'No such number');
  assert.equal(said(480, 'Q.850;cause=20'), 'Not registered');
  assert.equal(said(503, 'Q.850;cause=16'), 'No line is free');
  assert.equal(said(599, ''), 'Refused (SIP 599)');
  assert.equal(said(0, 'SIP;cause=200;text="Call completed elsewhere"'), 'Answered elsewhere');
  assert.equal(said(0, 'Q.850;cause=26'), 'Answered elsewhere');
  assert.equal(said(0, 'Q.850;cause=16', true), 'Call ended');
  assert.equal(said(0, 'Q.850;cause=41', true), 'Temporary failure');
  assert.equal(said(0, '', true), 'Call ended');
});

test('durations', () => {
  assert.equal(duration(0), '0:00');
  assert.equal(duration(7999), '0:07');
  assert.equal(duration(750_000), '12:30');
  assert.equal(duration(3_723_000), '1:02:03');
  assert.equal(duration(-5), '0:00');
});

test('moments', () => {
  const now = new Date(2026, 2, 10, 9, 0);
  const clock = (d: Date) => d.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const today = new Date(2026, 2, 10, 0, 5);
  assert.equal(moment(today, now), clock(today));
  assert.equal(moment(new Date(2026, 2, 9, 23, 59), now), 'Yesterday');
  const before = new Date(2026, 2, 6, 12, 0);
  assert.equal(moment(before, now), before.toLocaleDateString([], { weekday: 'long' }));
  assert.match(moment(new Date(2025, 11, 24), now), /2025/);
  assert.equal(moment(new Date('nonsense'), now), '');
});
