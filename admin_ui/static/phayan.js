// Small comforts; every page works without this file.
"use strict";

// Typing an own interval chooses "own interval" in the list beside it.
for (const field of document.querySelectorAll("[data-absolute]")) {
  field.addEventListener("input", () => {
    const range = document.querySelector("[data-range]");
    if (range && field.value) range.value = "custom";
  });
}

// One question at a time: a form that was sent cannot be sent again while the answer is on its way.
for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll('button[type="submit"]')) {
      window.setTimeout(() => { button.disabled = true; }, 0);
    }
  });
}
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll('form[method="post"] button[type="submit"]')) button.disabled = false;
});
