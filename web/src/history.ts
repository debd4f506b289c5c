import * as api from './api.ts';
import { forget, read, write } from './keep.ts';
import { Store } from './store.ts';

const most = 50;

/**
 * History is the user's last calls: the gateway's records where it offers them, else what this browser saw itself.
 */
export class History extends Store {
  records: api.CallRecord[] = [];
  /** Where the records come from. */
  source: 'gateway' | 'browser' = 'browser';
  loading = false;
  /** The gateway offers records, but the last time it didn't give them. */
  stale = false;

  #user = '';
  #token: string | undefined;
  #renew: (() => Promise<string | undefined>) | undefined;
  #timers: number[] = [];

  /** Begins for a user. renew gets a new token when the old one has run out. */
  open(account: api.Account, renew: () => Promise<string | undefined>): void {
    this.close();
    this.#user = account.uri;
    this.#token = account.token;
    this.#renew = renew;
    this.records = local(this.#user);
    this.source = 'browser';
    void this.refresh();
  }

  close(): void {
    for (const t of this.#timers) clearTimeout(t);
    this.#timers = [];
    this.#user = '';
    this.#token = undefined;
    this.records = [];
    this.changed();
  }

  /**
   * Closes, and removes what this browser kept of calls, of all users: whoever logs in next at this computer must not find them. The
   * gateway has its own records. What the page keeps beside stays: which microphone and loudspeaker this computer's user chose.
   */
  forget(): void {
    this.close();
    forget('local', 'calls.');
  }

  /** Takes a call that this browser saw end, and asks the gateway for its record. */
  add(record: api.CallRecord): void {
    if (this.#user === '') return;
    const kept = [record, ...local(this.#user)].slice(0, most);
    write('local', 'calls.' + this.#user, kept);
    if (this.source === 'browser') this.records = kept;
    this.changed();
    // The record is written after the call's end is confirmed: soon, but not at once.
    for (const t of this.#timers) clearTimeout(t);
    this.#timers = [400, 2500].map((ms) => window.setTimeout(() => void this.refresh(), ms));
  }

  async refresh(): Promise<void> {
    const user = this.#user;
    if (user === '' || !this.#token || this.loading) return;
    this.loading = true;
    this.changed();
    try {
      const records = await this.#ask();
      if (user !== this.#user) return;
      this.records = records.slice(0, most);
      this.source = 'gateway';
      this.stale = false;
    } catch (err) {
      if (user !== this.#user) return;
      if (err instanceof api.ApiError && err.refusal === 'absent') {
        this.#token = undefined;
        this.source = 'browser';
        this.records = local(user);
      } else {
        this.stale = true;
      }
    } finally {
      this.loading = false;
      this.changed();
    }
  }

  async #ask(): Promise<api.CallRecord[]> {
    try {
      return await api.calls(this.#token ?? '');
    } catch (err) {
      if (!(err instanceof api.ApiError) || err.refusal !== 'wrong') throw err;
      this.#token = await this.#renew?.();
      if (!this.#token) throw err;
      return api.calls(this.#token);
    }
  }
}

function local(user: string): api.CallRecord[] {
  const kept = read('local', 'calls.' + user);
  return Array.isArray(kept) ? (kept as api.CallRecord[]).filter((r) => typeof r?.id === 'string') : [];
}
