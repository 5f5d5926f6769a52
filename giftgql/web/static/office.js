// Moves the focus to what has changed, so that it is read out and the keyboard goes on from there.
"use strict";

function focusOnNews(within) {
  const news = within.querySelector("[data-focus]");
  if (news) news.focus();
  return Boolean(news);
}

document.addEventListener("DOMContentLoaded", () => focusOnNews(document));
document.addEventListener("htmx:after:swap", () => {
  document.getElementById("trouble").hidden = true;
  focusOnNews(document);
});
document.addEventListener("htmx:error", () => {
  document.getElementById("trouble").hidden = false;
});

// A form is sent once; what is sent again all the same is done once, by its key.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 2000);
});
