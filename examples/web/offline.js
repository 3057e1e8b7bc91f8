/** Serves the page from its cache when the server can't be reached. page.js fills the cache. */

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

async function answer(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, {ignoreSearch: true, ignoreVary: true});
    if (kept === undefined) throw error;
    return kept;
  }
}
