// The theme of the Airflow page around us, which a frame does not inherit; alone: what was chosen in Airflow, or the system's.
(() => {
  const own = document.documentElement;
  let host = null;
  try { host = window.parent !== window ? window.parent.document.documentElement : null; } catch { host = null; }
  if (host) own.classList.add("framed");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("theme"); } catch { chosen = null; }
    const dark = host ? host.classList.contains("dark") : chosen === "dark" || (chosen !== "light" && system.matches);
    own.classList.toggle("dark", dark);
    own.style.colorScheme = dark ? "dark" : "light";
  };
  follow();
  if (host) new MutationObserver(follow).observe(host, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", follow);
})();

// Links to Airflow's own pages: the frame may not navigate the window, the document around it may, without a reload.
addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window || event.defaultPrevented) return;
  event.preventDefault();
  const host = window.parent;
  if (event.ctrlKey || event.metaKey || event.button === 1) { host.open(link.href, "_blank"); return; }
  host.history.pushState(null, "", link.href);
  host.dispatchEvent(new PopStateEvent("popstate"));
});

// confirm() does nothing in Airflow's frame: a dialog of our own.
addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  const text = Object.assign(document.createElement("p"), { textContent: form.dataset.confirm });
  const yes = Object.assign(document.createElement("button"), { textContent: "Yes", className: "danger" });
  const no = Object.assign(document.createElement("button"), { textContent: "No", autofocus: true });
  yes.addEventListener("click", () => { dialog.close(); form.submit(); });
  no.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(text, yes, no);
  document.body.append(dialog);
  dialog.showModal();
});
