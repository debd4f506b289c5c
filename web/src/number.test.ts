import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, dialled, shown } from './number.ts';

test('what is dialled', () => {
  for (const [text, want] of [
    ['100', '100'],
    [' +49 (30) 123-45/67 ', '+49301234567'],
    ['*21#', '*21#'],
    ['tel:+49.30.1', '+49301'],
    ['bob', 'bob'],
    ['sip:bob@example.org', 'bob@example.org'],
    ['SIPS:bob@example.org', 'bob@example.org'],
    ['', ''],
    ['+', ''],
    ['()', ''],
    ['1+2', ''],
    ['two words', ''],
    ['a@b@c', ''],
    ['<sip:x@y>', ''],
    ['x@y\r\nVia: z', ''],
  ] as const) {
    assert.equal(dialled(text), want, JSON.stringify(text));
  }
});

test('address', () => {
  for (const [text, want] of [
    ['100', 'sip:100@example.org'],
    ['+49 30 1', 'sip:+49301@example.org'],
    ['*21#', 'sip:*21%23@example.org'],
    ['bob', 'sip:bob@example.org'],
    ['bob@[::1]:5060', 'sip:bob@[::1]:5060'],
    ['jürgen', 'sip:j%C3%BCrgen@example.org'],
    ['a;b?c', 'sip:a;b?c@example.org'],
    ['no one', ''],
  ] as const) {
    assert.equal(address(text, 'example.org'), want, JSON.stringify(text));
  }
});

test('parties', () => {
  assert.equal(shown('sip:100@example.org;user=phone'), '100');
  assert.equal(shown('<sip:%2a21%23@example.org>'), '*21#');
  assert.equal(shown('tel:+4930'), '+4930');
  assert.equal(shown('bob'), 'bob');
  assert.equal(shown('sip:50%@example.org'), '50%');
});
