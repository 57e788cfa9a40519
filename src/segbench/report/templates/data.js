for (const code of document.querySelectorAll("pre")) {
  const frame = document.createElement("div"), button = document.createElement("button");
  frame.className = "code";
  button.type = "button";
  button.textContent = COPY;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = COPIED;
      setTimeout(() => { button.textContent = COPY; }, 1500);
    } catch {
      getSelection().selectAllChildren(code); // the browser forbids it: it is marked, to be copied by hand
    }
  });
  code.replaceWith(frame);
  frame.append(code, button);
}
