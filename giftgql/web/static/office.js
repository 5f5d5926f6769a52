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

// A file is sent as programs send one, and then its import is shown.
function beginUploads() {
  for (const form of document.querySelectorAll("form[data-upload][hidden]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      upload(form);
    });
  }
}

async function upload(form) {
  const button = form.querySelector("button");
  const problem = form.querySelector(".problem");
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  problem.hidden = true;
  try {
    const answer = await fetch(`/imports/${form.elements.kind.value}`, {
      method: "POST",
      headers: { "Content-Type": "text/csv", "X-Giftgql-Request": "1" },
      body: form.elements.file.files[0],
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.errors[0].message);
    location.assign(`/office/imports/${told.id}`);
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The server was not reached. Send it once more." : error.message;
    problem.hidden = false;
    problem.focus();
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

document.addEventListener("DOMContentLoaded", beginUploads);
document.addEventListener("htmx:after:swap", beginUploads);
