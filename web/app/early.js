// Before the first paint, and so a classic script: the colours that were chosen.
// Another page of ours that changes them changes them here.

(function () {
  function read() {
    try {
      return localStorage.getItem('rung.theme');
    } catch (error) {
      return null; // a frame on somebody else's page may keep nothing
    }
  }
  function apply() {
    var asked = new URLSearchParams(location.search).get('theme') || read();
    if (asked === 'light' || asked === 'dark') document.documentElement.dataset.theme = asked;
    else delete document.documentElement.dataset.theme;
  }
  addEventListener('storage', apply);
  addEventListener('rung-theme', apply);
  apply();
})();
