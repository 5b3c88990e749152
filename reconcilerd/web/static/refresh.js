// Replaces what a page says by what it says now; without scripts the page reloads itself whole.
"use strict";
(() => {
  const seconds = Number(document.currentScript.dataset.seconds);
  const look = async () => {
    if (document.hidden) return;
    const live = document.getElementById("live");
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      // Nobody is logged in any more.
      if (answer.redirected) return location.assign(answer.url);
      if (!answer.ok) throw new Error(String(answer.status));
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      live.replaceChildren(...now.getElementById("live").childNodes);
      document.title = now.title;
      live.classList.remove("old");
    } catch {
      // What is shown is old: it must look it.
      live.classList.add("old");
    }
  };
  setInterval(look, seconds * 1000);
  document.addEventListener("visibilitychange", look);
})();
