// In place of Node's modules. `assert` is called; the others are only named.
export default () => {};
export const fs = {};
export const promises = {};
