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
  const bar = form.querySelector("progress");
  button.disabled = true;
  problem.hidden = true;
  bar.hidden = false;
  try {
    const kind = form.elements.kind.value;
    const told = await send(`/imports/${kind}`, form.elements.file.files[0], (event) => {
      bar.max = event.total;
      bar.value = event.loaded;
    });
    location.assign(`/office/imports/${told.id}`);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    problem.focus();
    button.disabled = false;
    bar.hidden = true;
  }
}

function send(address, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "text/csv");
    request.setRequestHeader("X-Giftgql-Request", "1");
    request.upload.addEventListener("progress", onProgress);
    request.addEventListener("error", () => reject(new Error("The server was not reached. Send it once more.")));
    request.addEventListener("load", () => {
      const told = request.response;
      if (request.status < 400 && told) resolve(told);
      else reject(new Error(told?.errors?.[0]?.message ?? "The server failed."));
    });
    request.send(file);
  });
}

document.addEventListener("DOMContentLoaded", beginUploads);
document.addEventListener("htmx:after:swap", beginUploads);
