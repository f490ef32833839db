// Keeps the whole app on the device, so that it answers without a network. The cache is named after
// the content: another version is another cache, filled before the old one goes.

importScripts("files.js");
const { CACHE, FILES } = self;
const PREFIX = "foveal ";

addEventListener("install", (event) => {
  const fill = async () => {
    const cache = await caches.open(CACHE);
    // Past the browser's own cache, which may hold files of another version.
    await cache.addAll(["./", ...FILES].map((name) => new Request(name, { cache: "reload" })));
    await skipWaiting();
  };
  event.waitUntil(fill());
});

addEventListener("activate", (event) => {
  const clean = async () => {
    // Other apps of this origin keep theirs.
    const own = CACHE.split(" ").slice(0, 2).join(" ") + " ";
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith(PREFIX) && name.startsWith(own) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await clients.claim();
  };
  event.waitUntil(clean());
});

addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || !event.request.url.startsWith(registration.scope)) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
