export function Logo() {
  return (
    <span class="logo">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" class="ground" />
        <path d="M9 11c0 8 14 2 14 10" class="cord" />
        <circle cx="9" cy="10.500" r="3" class="plug" />
        <circle cx="23" cy="21.500" r="3" class="plug" />
        <circle cx="9" cy="21.500" r="2.200" class="jack" />
        <circle cx="23" cy="10.500" r="2.200" class="jack" />
      </svg>
      Patchbay
    </span>
  );
}
