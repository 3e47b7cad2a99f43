// A message of the page in its language; {name} stands for a value. Python writes WORDS, the table, before this.
const say = (key, values = {}) => WORDS[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
