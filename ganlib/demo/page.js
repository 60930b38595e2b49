// The page's frame: pictures that are dropped on it, and what gradio's controls lack for keyboards and screen readers.
(() => {
  const HINT = "Drop a picture made here to open its settings.";
  const SHOWN = 400;  // milliseconds after the last sign of a drag
  let timer = 0, own = false;

  const hint = Object.assign(document.createElement("div"), {id: "drop-hint", hidden: true, textContent: HINT});
  const hide = () => { hint.hidden = true; };
  const hasFiles = (event) => !own && [...event.dataTransfer?.types ?? []].includes("Files");

  // Pictures of the page itself can be dragged too, out of it. They are no files that come in. A picture that vanishes
  // while it is dragged has no dragend; the pointer only moves when nothing is dragged.
  window.addEventListener("dragstart", () => { own = true; });
  for (const end of ["dragend", "pointermove"]) window.addEventListener(end, () => { own = false; }, {passive: true});
  // A field that takes drops itself stops the event: then it does not come here, and the hint goes away.
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    if (!hint.isConnected) document.body.append(hint);
    hint.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(hide, SHOWN);
  });
  window.addEventListener("drop", hide, true);
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const input = upload();
    if (!input) return;
    input.value = "";  // the same file may come twice
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  });

  const upload = () => document.querySelector("#foot:has(#open-picture) input[type=file]");

  // gradio gives each radio button a name of its own, so that arrow keys do not move among them, and their group no name
  const mend = () => {
    for (const group of document.querySelectorAll("fieldset.block")) {
      const title = group.querySelector("[data-testid=block-info]")?.textContent.trim();
      if (title && group.getAttribute("aria-label") !== title) group.setAttribute("aria-label", title);
      const radios = group.querySelectorAll("input[type=radio]");
      for (const radio of radios) if (radio.name !== radios[0].name) radio.name = radios[0].name;
    }
    for (const icon of document.querySelectorAll("button > img[alt$=' icon']")) icon.alt = "";  // its text says the same
    for (const inner of document.querySelectorAll("a[download] > button")) inner.tabIndex = -1;  // the link has a stop
    const input = upload();
    if (input) input.accept = ".png,.gif,.mp4";
    // a name needs a role
    for (const empty of document.querySelectorAll(".empty[aria-label]:not([role])")) empty.setAttribute("role", "img");
  };
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mend(); });
  }).observe(document.documentElement, {childList: true, subtree: true});
})();
