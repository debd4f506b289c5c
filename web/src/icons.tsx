import type { JSX } from 'preact';

const paths = {
  phone: 'M6.5 3.5h3l1.600 4-2 1.500a12 12 0 0 0 5.900 5.900l1.500-2 4 1.600v3a2 2 0 0 1-2.200 2A16.500 16.500 0 0 1 4.500 5.700a2 2 0 0 1 2-2.200z',
  mic: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.500 11a6.500 6.500 0 0 0 13 0M12 17.500V21M9 21h6',
  micOff: 'M9 9v2a3 3 0 0 0 5 2.200M15 10V6a3 3 0 0 0-5.700-1.300M5.500 11a6.500 6.500 0 0 0 10.700 5M18.500 11a6.500 6.500 0 0 1-.4 2.300M12 17.500V21M9 21h6M4 3l16 18',
  pause: 'M8.500 5v14M15.500 5v14',
  play: 'M8 5l11 7-11 7z',
  pad: 'M6 5.500h.01M12 5.500h.01M18 5.500h.01M6 11.500h.01M12 11.500h.01M18 11.500h.01M6 17.500h.01M12 17.500h.01M18 17.500h.01',
  backspace: 'M9 5.500h10a1.500 1.500 0 0 1 1.500 1.500v10a1.500 1.500 0 0 1-1.500 1.500H9L3 12zM11.500 9.500l5 5M16.500 9.500l-5 5',
  out: 'M7 17L17 7M9 7h8v8',
  in: 'M17 7L7 17M15 17H7V9',
  swap: 'M7 4v15M7 4L3.500 7.500M7 4l3.500 3.500M17 20V5M17 20l-3.500-3.500M17 20l3.500-3.500',
  clock: 'M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17zM12 7.500V12l3 2',
  sound: 'M4 9.500v5h3.500L12 18.500v-13L7.500 9.500zM15.500 9a4.500 4.500 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11',
  refresh: 'M19.500 12a7.500 7.500 0 1 1-2.200-5.300L19.500 9M19.500 4.500V9H15',
  close: 'M6 6l12 12M18 6L6 18',
  alert: 'M12 4L2.800 19.500h18.400zM12 10v4.500M12 17.200h.01',
  bars: 'M5 20v-7M12 20V5M19 20v-11M3 20h18',
  save: 'M12 4v11M7.500 10.500L12 15l4.500-4.500M5 19.500h14',
  leave: 'M10 4.500H5.500v15H10M14.500 8l4 4-4 4M18.500 12H9.500',
} as const;

/** Icon draws one of the page's signs in the colour of the text. It says nothing to a screen reader. */
export function Icon({ name, turned }: { name: keyof typeof paths; turned?: boolean }): JSX.Element {
  return (
    <svg class={`icon ${name}${turned ? ' turned' : ''}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
