import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecWords, duration, ending, heldOff, moment, reason, recordEnding, retryAfter } from './words.ts';

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

test('why a recorded call ended', () => {
  const said = (direction: 'in' | 'out', cause: number | string | null, sip: number | null, answered = false, ended = true) =>
    recordEnding({ direction, cause, sip, answered, ended });
  assert.equal(said('in', 16, 487), 'Missed');
  assert.equal(said('out', 16, 487), 'Cancelled');
  assert.equal(said('in', 19, 480), 'Missed');
  assert.equal(said('out', 19, 480), 'No answer');
  assert.equal(said('in', 26, 487), 'Answered elsewhere');
  assert.equal(said('in', 21, 603), 'Declined');
  assert.equal(said('out', 21, 603), 'Declined');
  assert.equal(said('out', 17, 486), 'Busy');
  assert.equal(said('out', 16, 503), 'No line is free');
  assert.equal(said('out', null, 404), 'No such number');
  assert.equal(said('out', null, null), 'Not answered');
  assert.equal(said('out', 16, null, true), 'Call ended');
  assert.equal(said('in', 16, null, true), 'Call ended');
  assert.equal(said('out', 41, null, true), 'Temporary failure');
  assert.equal(said('out', null, null, true, false), '');
  assert.equal(said('in', 'missed', null), 'Missed');
});

test('a gateway that tells when to come again', () => {
  assert.equal(retryAfter('120'), 120);
  assert.equal(retryAfter('18000;duration=3600'), 18000);
  assert.equal(retryAfter('5 (I am busy)'), 5);
  assert.equal(retryAfter('Wed, 21 Oct 2015 07:28:00 GMT'), undefined);
  assert.equal(retryAfter(null), undefined);
  assert.match(heldOff(30), /Try again in 30 seconds/);
  assert.match(heldOff(290), /Try again in 5 minutes/);
  assert.match(heldOff(1), /Try again in a second/);
  assert.match(heldOff(36_000), /Try again in 10 hours/);
});

test('codecs', () => {
  assert.equal(codecWords('OPUS/48000/2'), 'Opus');
  assert.equal(codecWords('opus'), 'Opus');
  assert.equal(codecWords('PCMA/8000'), 'PCMA');
  assert.equal(codecWords(''), '');
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
