// Only comfort: every page works without this file.
"use strict";
for (const button of document.querySelectorAll("button[data-show]")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "text";
    field.type = shown ? "password" : "text";
    button.textContent = shown ? button.dataset.show : button.dataset.hide;
    button.setAttribute("aria-pressed", String(!shown));
  });
}
for (const form of document.querySelectorAll("form[data-checking]")) {
  const button = form.querySelector("button[type=submit]");
  const words = button.textContent;
  form.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = form.dataset.checking;
  });
  // A page that comes back from the browser's memory must be usable again.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = words;
  });
}
