/** Separators that people write in telephone numbers. */
const separators = /[\s().\-/]/g;

/**
 * What is dialled when a person types the text: a number without separators, a user's name, or a whole SIP address
 * without its scheme. Empty if nothing can be dialled.
 */
export function dialled(text: string): string {
  const bare = text.trim().replace(/^(sips?|tel):/i, '');
  if (/^[+\d\s().\-/*#]*$/.test(bare)) {
    const digits = bare.replace(separators, '');
    return /^\+?[\d*#]+$/.test(digits) ? digits : '';
  }
  return /^[^\s@<>"]+(@[^\s@<>"]+)?$/.test(bare) ? bare : '';
}

/** The SIP address to call: of the text itself if it has a host, else at the user's own domain. */
export function address(text: string, domain: string): string {
  const who = dialled(text);
  if (who === '') return '';
  const at = who.lastIndexOf('@');
  const user = at < 0 ? who : who.slice(0, at);
  const host = at < 0 ? domain : who.slice(at + 1);
  // RFC 3261 25.1: these may stand in the user part as they are, all else is escaped ("#" is %23).
  const escaped = encodeURIComponent(user).replace(/%(26|3D|2B|24|2C|3B|3F|2F)/g, decodeURIComponent);
  return `sip:${escaped}@${host}`;
}

/** How a party of a call is shown: the user part of a SIP address, anything else as it is. */
export function shown(party: string): string {
  const m = /^<?(?:sips?|tel):([^@;>?]+)/i.exec(party.trim());
  if (!m || m[1] === undefined) return party;
  try {
    return decodeURIComponent(m[1]);
  } catch {
    return m[1];
  }
}
