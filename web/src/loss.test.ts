import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loudness } from './audio.ts';
import { Loss } from './loss.ts';

test('loss is that of the last seconds', () => {
  const loss = new Loss(5000);
  assert.equal(loss.percent(), 0);
  loss.add(0, 0, 0);
  loss.add(1000, 45, 5);
  assert.equal(loss.percent(), 10);
  for (let s = 2; s <= 20; s++) loss.add(s * 1000, 45 + (s - 1) * 50, 5);
  assert.equal(loss.percent(), 0, 'the old loss is forgotten');
});

test('late packets take loss back, and no further', () => {
  const loss = new Loss();
  loss.add(0, 100, 3);
  loss.add(1000, 153, 0);
  assert.equal(loss.percent(), 0);
});

test('a new stream starts anew', () => {
  const loss = new Loss();
  loss.add(0, 1000, 100);
  loss.add(1000, 10, 0);
  loss.add(2000, 55, 5);
  assert.equal(loss.percent(), 10);
});

test('silence', () => {
  const loss = new Loss(5000);
  assert.equal(loss.silent(), 0);
  loss.add(0, 10, 0);
  loss.add(1000, 60, 0);
  assert.equal(loss.silent(), 0);
  loss.add(2000, 60, 0);
  assert.equal(loss.silent(), 1000);
  for (let s = 3; s <= 30; s++) loss.add(s * 1000, 60, 0);
  assert.ok(loss.silent() >= 5000, String(loss.silent()));
  loss.add(31_000, 61, 0);
  assert.equal(loss.silent(), 0);
});

test('loudness', () => {
  const sine = (amplitude: number) => Float32Array.from({ length: 960 }, (_, i) => amplitude * Math.sin((i * 2 * Math.PI) / 48));
  assert.equal(loudness(new Float32Array(960)), 0);
  assert.equal(loudness(sine(1)), 1);
  assert.equal(loudness(sine(0.001)), 0);
  const middle = loudness(sine(0.0316)); // -33 dBFS
  assert.ok(middle > 0.48 && middle < 0.52, String(middle));
});
