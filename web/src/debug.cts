/**
 * What JsSIP asks of the package debug: loggers by name. They write to the console if localStorage.debug named JsSIP
 * ("JsSIP:*") when the page was loaded, as that package's do.
 */
function wanted(): boolean {
  try {
    return /^jssip/i.test(localStorage.getItem('debug') ?? '');
  } catch {
    return false; // the browser lets the page keep nothing
  }
}

const on = wanted();

const logger = (name: string) => (first: unknown, ...more: unknown[]): void => {
  if (!on) return;
  if (typeof first === 'string') console.debug(`${name} ${first}`, ...more); // may be a format
  else console.debug(name, first, ...more);
};

export = Object.assign(logger, { default: logger });
