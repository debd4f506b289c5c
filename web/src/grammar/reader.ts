/** The means by which grammar.ts reads: a place in a value, expressions that fit there, and rules made of them. */

/** Data is what a rule finds, under the names JsSIP uses; a rule for a single thing puts that in its place. */
export type Data = any;

/** A rule reads on and tells whether it could. If not, the reader may be left anywhere. */
export type Rule = (r: Reader) => boolean;

/** A step is a rule, or what has to be there. */
export type Step = Rule | RegExp;

/** As is what becomes of a text that was read. */
export type As = (s: string) => unknown;

/** Reader is one value being read. */
export class Reader {
  at = 0;
  data: Data = {};

  constructor(readonly input: string) {}

  /** Reads what fits here: the match, or null and nothing is read. */
  match(what: RegExp): RegExpExecArray | null {
    what.lastIndex = this.at;
    const m = what.exec(this.input);
    if (m) this.at = what.lastIndex;
    return m;
  }

  /** Reads what fits here: its group or, if it has none, all of it. */
  take(what: RegExp): string | undefined {
    const m = this.match(what);
    return m ? m[m.length - 1] : undefined;
  }

  /** Reads one step. */
  is(step: Step): boolean {
    return step instanceof RegExp ? this.match(step) !== null : step(this);
  }

  /** Reads one step after the other, or nothing at all. */
  try(...steps: Step[]): boolean {
    const { at } = this;
    if (steps.every(this.is, this)) return true;
    this.at = at;
    return false;
  }

  /** Keeps a field if there is something to keep. */
  keep(name: string, value: unknown): boolean {
    if (value === undefined) return false;
    this.data[name] = value;
    return true;
  }

  /** Notes a parameter. */
  note(name: string, value: string | number | undefined, kind = 'params'): true {
    (this.data[kind] ??= {})[name] = value;
    return true;
  }
}

/**
 * An expression that fits at one place only, whatever the letters' case. None may be readable in two ways: that keeps the
 * time it takes in proportion to the text.
 */
export function re(source: TemplateStringsArray, ...parts: (RegExp | string | number)[]): RegExp {
  return new RegExp(String.raw(source, ...parts.map((p) => (p instanceof RegExp ? p.source : p))), 'iy');
}

/** The same for the case as it is written. */
export const exactly = (what: RegExp): RegExp => new RegExp(what, 'y');

/** One character that may stand in an address (RFC 3261 25.1 "unreserved") or is one of more, or an escaped one. */
export const of = (more: string): RegExp => re`(?:[\w\-.!~*'()${more}]|%[\da-f]{2})`;

export const SPACES = re`(?:[ \t]*\r\n[ \t]+(?![ \t])|[ \t]+(?![ \t]|\r\n))`; // with folded lines (RFC 3261 7.3.1)
export const SWS = re`${SPACES}?`;
export const EQUAL = re`${SWS}=${SWS}`;
export const SEMI = re`${SWS};${SWS}`;
export const COMMA = re`${SWS},${SWS}`;
export const TOKEN = re`[\w\-.!%*+\x60'~]+`;
export const QUOTED = re`${SWS}"(?:[\t !#-[\]-~\x80-\uffff]|\r\n(?=[ \t])|\\[^\n\r\x80-\uffff])*"`;
export const NUMBER = re`\d+`;
export const PORT = re`\d{0,5}`;

const same: As = (s) => s;

/** The number of some digits; of none it is NaN, as JsSIP has it. */
export const integer = (digits: string): number => parseInt(digits, 10);

export const lower = (s: string): string => s.toLowerCase();

/** What stands in quotes. */
export const bare = (s: string): string => s.trim().slice(1, -1).replace(/\\([^\n\r\x80-\uffff])/g, '$1');

/** A rule for what fits and is kept as a field. */
export function field(name: string, what: RegExp, as: As = same): Rule {
  return (r) => {
    const s = r.take(what);
    return s !== undefined && r.keep(name, as(s));
  };
}

/** A rule for a parameter that is kept as the field of its name. */
export const param = (name: string, value: RegExp, as?: As): Rule => field(name, re`${name}${EQUAL}(${value})`, as);

/** A rule for a value that is one thing. */
export function whole(what: RegExp, as: As = same): Rule {
  return (r) => {
    const s = r.take(what);
    if (s === undefined) return false;
    r.data = as(s);
    return true;
  };
}

/** One step after the other. */
export const all = (...steps: Step[]): Rule => (r) => r.try(...steps);

/** The first of them that fits. */
export const any = (...steps: Step[]): Rule => (r) => steps.some((step) => r.try(step));

/** All of them, or nothing. */
export const maybe = (...steps: Step[]): Rule => (r) => {
  r.try(...steps);
  return true;
};

/** As many times as can be. */
export const many = (...steps: Step[]): Rule => (r) => {
  while (r.try(...steps));
  return true;
};

/** Things set apart by commas, at least one. */
export const list = (item: Step): Rule => all(item, many(COMMA, item));
