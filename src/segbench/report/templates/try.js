document.getElementById("try-open").addEventListener("click", event => {
  const frame = document.createElement("iframe"), page = document.getElementById("try-page");
  frame.title = document.querySelector("#try h2").textContent;
  frame.className = "try";
  frame.srcdoc = JSON.parse(page.textContent);
  page.remove(); // megabytes of text
  event.target.parentElement.replaceWith(frame);
});
