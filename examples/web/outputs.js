/** What the numbers of a model stand for, as the entries "output" and "class_names" of its JSON file say. */

import {Problem} from "./problem.js";

/** The meaning of one model's numbers. */
export class ModelOutputs {
  /**
   * @param output logits, probabilities, sigmoid, regression or embedding
   * @param names the class names; an embedding may have none
   * @param count how many numbers the model returns
   */
  constructor(output, names, count) {
    this.twoClasses = output === "sigmoid" && count === 1 && names.length === 2;
    if (output !== "embedding" && !this.twoClasses && names.length !== count) {
      throw new Problem(`model.json names ${names.length} classes, but the model returns ${count} numbers.`);
    }
    this.output = output;
    this.names = names;
    this.severalLabels = output === "sigmoid" && count > 1;
    this.sharesShown = ["logits", "probabilities", "sigmoid"].includes(output);
  }

  /** Returns probabilities for a classifier's numbers; those of a regression or an embedding as they are. */
  interpret(numbers) {
    if (this.output === "logits") return softmax(numbers);
    if (this.twoClasses) return [1 - numbers[0], numbers[0]];
    return Array.from(numbers);
  }

  /**
   * Returns what to show: a sentence, and names with numbers: the most probable classes, the best first; of several
   * labels those of one half or more; of a regression its values.
   *
   * @param meaning what interpret returned
   * @param count how many classes
   */
  describe(meaning, count) {
    if (this.output === "embedding") {
      const norm = Math.hypot(...meaning).toPrecision(4);
      const first = meaning.slice(0, 4).map((number) => number.toPrecision(4));
      const more = meaning.length > first.length ? ", ..." : "";
      return {sentence: `${meaning.length} numbers of norm ${norm}: ${first.join(", ")}${more}`, items: []};
    }
    const items = meaning.map((number, index) => ({name: this.names[index], number}));
    if (this.output === "regression") {
      return {sentence: items.map(({name, number}) => `${name} ${number.toPrecision(6)}`).join(", "), items};
    }
    items.sort((a, b) => b.number - a.number);
    const applying = items.filter(({number}) => number >= 0.5);
    if (this.severalLabels && applying.length > 0) return {sentence: sentenceOf(applying), items: applying};
    const sentence = this.severalLabels ? "No label reaches 50%." : sentenceOf(items.slice(0, 1));
    return {sentence, items: items.slice(0, count)};
  }
}

/** Returns a share from 0 to 1 as text. */
export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function sentenceOf(items) {
  return items.map(({name, number}) => `${name}, ${percent(number)}`).join("; ");
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
