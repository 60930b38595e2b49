// The figures of the course by their names: FIGURES.NAME = (place, wire) => ({show(), hide()}). Each is in a file of its own,
// figure-NAME.js. `place` is an empty element of the page, `wire` calls the server. The first show() comes right after.

const FIGURES = {};
