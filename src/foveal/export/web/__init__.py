"""Bundles as installable web apps: static files that run the model in the browser.

`app` is what is copied: ES modules without a build step. `app/core` computes and knows no page, so
that Node runs it too; `app/ui` is the page; `worker.js` joins the two. `prover` gives an app the
pictures of a proof, and is in no export.
"""
