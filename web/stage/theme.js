// Light or dark: the system's, until it is chosen; the frames change with the page.

const KEY = 'rung.theme';

/** @param {HTMLButtonElement} button */
export function setUpTheme(button) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (localStorage.getItem(KEY) ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const draw = () => button.setAttribute('aria-pressed', String(isDark()));
  button.onclick = () => {
    localStorage.setItem(KEY, isDark() ? 'light' : 'dark');
    dispatchEvent(new Event('rung-theme')); // the others hear of it by "storage"
    draw();
  };
  system.addEventListener('change', draw);
  draw();
}
