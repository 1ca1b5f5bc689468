"""The one composition root: settings, wiring, kopf handlers, sweep, advance, leader, HTTP."""
