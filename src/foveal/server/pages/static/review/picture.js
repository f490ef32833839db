// A picture of a review, or the sentence that says why there is none.

const TINY_PX = 64;

export function source(number, form, options = {}) {
  const query = new URLSearchParams(options).toString();
  return `pictures/${number}/${form}${query ? `?${query}` : ""}`;
}

export function prepare(image, failed) {
  image.addEventListener("load", () => {
    image.hidden = false;
    failed.hidden = true;
    image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= TINY_PX);
  });
  image.addEventListener("error", async () => {
    const address = image.getAttribute("src");
    if (!address) return;
    let words = "The server cannot be reached.";
    try {
      words = (await (await fetch(address)).json()).error ?? words;
    } catch {
      // Not even a sentence.
    }
    if (image.getAttribute("src") !== address) return;
    image.hidden = true;
    failed.textContent = words;
    failed.hidden = false;
  });
}
