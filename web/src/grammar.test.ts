import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as theirs from 'jssip/lib/Grammar.js';
import { bad, good, rules, scraps } from './grammar/samples.test.ts';
import { parse } from './grammar.ts';

const original = (input: string, rule: string): unknown => theirs.parse(input, rule);

type Outcome = { value: unknown } | { thrown: unknown };

function outcome(of: typeof original, input: string, rule: string): Outcome {
  try {
    return { value: of(input, rule) };
  } catch (thrown) {
    return { thrown };
  }
}

/** What a challenge's "domain" leaves behind in the original: parts of its addresses, in fields that nobody reads. */
const remains = ['scheme', 'user', 'password', 'host', 'host_type', 'port'];

/**
 * Holds the two parsers against each other. Tells whether the value was taken. They differ where the original
 *  - throws: of escapes that are no UTF-8, of "Contact: *" and of URI headers named as a member of every object. Ours gives -1
 *    or, where the value is well-formed, what it means;
 *  - puts a comma before each part of an event's name, so that "presence.winfo" is "presence.,winfo";
 *  - notes parts of the addresses in a challenge's "domain" as the challenge's own.
 */
function compare(rule: string, input: string): boolean {
  const want = outcome(original, input, rule);
  const got = outcome(parse, input, rule);
  const about = `${rule} ${JSON.stringify(input)}`;
  if ('thrown' in got) assert.fail(`${about}: ours throws ${got.thrown}`);
  if ('thrown' in want) {
    const why = [/%[\da-f]{2}/i, /^\s*\*/, /constructor|__proto__|valueof|tostring|hasownproperty/i];
    assert.ok(why.some((w) => w.test(input)), `${about}: the original throws ${want.thrown}`);
    return false;
  }
  if (typeof want.value === 'object' && want.value !== null) {
    const fields = want.value as Record<string, unknown>;
    if (rule === 'Event') fields.event = String(fields.event).replaceAll(',', '');
    if (rule.endsWith('_Authenticate') && /domain/i.test(input)) for (const name of remains) delete fields[name];
  }
  assert.deepStrictEqual(got.value, want.value, about);
  return want.value !== -1;
}

test('what is well-formed is read as JsSIP reads it', () => {
  for (const rule of rules) {
    const samples = good[rule]!;
    for (const input of samples) assert.ok(compare(rule, input), `${rule} ${JSON.stringify(input)} was refused`);
  }
});

test('what is not well-formed is refused', () => {
  for (const rule of rules) {
    for (const input of bad[rule]!) {
      assert.equal(compare(rule, input), false, `${rule} ${JSON.stringify(input)} was taken`);
      assert.equal(parse(input, rule), -1, `${rule} ${JSON.stringify(input)}`);
    }
  }
});

/** A repeatable source of numbers below n (mulberry32). */
function source(seed: number): (n: number) => number {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** One to three changes to a value. */
function mutated(value: string, below: (n: number) => number, pool: readonly string[]): string {
  for (let n = 1 + below(3); n > 0; n--) {
    const at = below(value.length + 1);
    const end = Math.min(value.length, at + 1 + below(4));
    const scrap = scraps[below(scraps.length)]!;
    switch (below(7)) {
      case 0: // something is lost
        value = value.slice(0, at) + value.slice(end);
        break;
      case 1: // something is added
        value = value.slice(0, at) + scrap + value.slice(at);
        break;
      case 2: // something is another thing
        value = value.slice(0, at) + scrap + value.slice(end);
        break;
      case 3: // something is there twice
        value = value.slice(0, end) + value.slice(at);
        break;
      case 4: // it ends with something
        value += scrap;
        break;
      case 5: // in other letters
        value = value.slice(0, at) + (below(2) ? value.slice(at).toUpperCase() : value.slice(at).toLowerCase());
        break;
      default: {
        // the start of one, the end of another
        const other = pool[below(pool.length)]!;
        value = value.slice(0, at) + other.slice(below(other.length + 1));
      }
    }
  }
  return value;
}

test('changed values', () => {
  const everything = rules.flatMap((rule) => good[rule]!);
  for (const [i, rule] of rules.entries()) {
    const below = source(1 + i);
    const own = [...good[rule]!, ...bad[rule]!].filter((s) => s.length < 400);
    let taken = 0;
    let refused = 0;
    for (let n = 0; n < 1500; n++) {
      const pool = below(4) === 0 ? everything : own;
      if (compare(rule, mutated(own[below(own.length)]!, below, pool))) taken++;
      else refused++;
    }
    assert.ok(taken > 20 && refused > 50, `${rule}: ${taken} taken, ${refused} refused`);
  }
});

test('values of one rule read by another', () => {
  for (const rule of rules) for (const other of rules) for (const input of good[other]!) compare(rule, input);
});

test('where ours differs', () => {
  assert.throws(() => original('sip:%ff@example.org', 'SIP_URI'), URIError);
  assert.equal(parse('sip:%ff@example.org', 'SIP_URI'), -1);
  assert.throws(() => original('*', 'Contact'), TypeError);
  assert.equal(parse('*', 'Contact'), -1);
  const starred = parse('*97 <sip:*97@example.org>', 'Contact');
  assert.equal(starred[0].parsed.toString(), '"*97" <sip:*97@example.org>');
  assert.throws(() => original('sip:example.org?constructor=x', 'SIP_URI'), TypeError);
  assert.deepEqual(parse('sip:example.org?constructor=x', 'SIP_URI').getHeader('constructor'), ['x']);
  assert.equal((original('presence.winfo', 'Event') as { event: string }).event, 'presence.,winfo');
  assert.equal(parse('presence.winfo', 'Event').event, 'presence.winfo');
  const challenge = 'Digest realm="a", nonce="b", domain="sip:example.org"';
  assert.deepEqual(original(challenge, 'WWW_Authenticate'), { realm: 'a', nonce: 'b', scheme: 'sip' });
  assert.deepEqual(parse(challenge, 'WWW_Authenticate'), { realm: 'a', nonce: 'b' });
  for (const unknown of ['X_Own', 'constructor', '']) assert.throws(() => parse('x', unknown), /no rule/);
  assert.throws(() => original('x', 'X_Own'), /Invalid rule name/);
});

test('long values take no more than their length in time', () => {
  const started = performance.now();
  const many = 50_000;
  for (const part of [' ', '\t', '\r\n ', 'a.', 'a-', '"', '\\', '%41', 'a ', 'a;', ',', '1:', ':', '(', '\u00e9', '<']) {
    const long = part.repeat(many);
    for (const rule of rules) {
      parse(long, rule);
      parse(`"a${long}`, rule);
      parse(`sip:${long}!`, rule);
      parse(`a ${long}\r\n`, rule);
      parse(`SIP/2.0/UDP ${long};`, rule);
    }
  }
  const took = performance.now() - started;
  assert.ok(took < 30_000, `${Math.round(took)} ms`);
});
