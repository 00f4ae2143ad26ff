// Preloaded into every thread of Node's, for the test of where its warnings go.
setTimeout(() => {
  process.emitWarning("of a test");
}, 100).unref();
