package com.example.keraslite;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What the numbers of a model exported by keras_lite stand for, as the entry "output" of its JSON file says.
 *
 * <p>This file needs no Android, so that it can be tested on any machine.
 */
public final class ModelOutputs {
    /** A class or a label and how probable it is, from 0 to 1, or a named value of a regression. */
    public static final class NamedValue {
        public final String name;
        public final float number;

        NamedValue(String name, float number) {
            this.name = name;
            this.number = number;
        }
    }

    private static final int SHOWN_NUMBERS = 4;

    private final String output;
    private final String[] names;
    private final boolean severalLabels;

    /**
     * @param output the JSON file's "output": logits, probabilities, sigmoid, regression or embedding
     * @param names the JSON file's "class_names"; an embedding may have none
     * @param outputs how many numbers the model returns
     */
    public ModelOutputs(String output, String[] names, int outputs) {
        boolean twoClasses = output.equals("sigmoid") && outputs == 1 && names.length == 2;
        if (!output.equals("embedding") && !twoClasses && names.length != outputs) {
            throw new IllegalArgumentException("Expected " + outputs + " names, received " + names.length);
        }
        this.output = output;
        this.names = names.clone();
        severalLabels = output.equals("sigmoid") && outputs > 1;
    }

    /**
     * Returns what the model's own numbers mean: probabilities for logits; for one sigmoid with two names both classes'
     * probabilities; otherwise the numbers themselves.
     */
    public float[] interpret(float[] numbers) {
        if (output.equals("logits")) {
            return softmax(numbers);
        }
        if (output.equals("sigmoid") && numbers.length == 1 && names.length == 2) {
            return new float[] {1 - numbers[0], numbers[0]};
        }
        return numbers.clone();
    }

    /**
     * Returns what to show of the result of interpret: the most probable classes, the best first; of several labels
     * those of one half or more, or else the most probable ones; of a regression its values, of an embedding nothing.
     *
     * @param meaning what interpret returned
     * @param count how many classes
     */
    public List<NamedValue> best(float[] meaning, int count) {
        List<NamedValue> values = new ArrayList<>();
        if (output.equals("embedding")) {
            return values;
        }
        for (int i = 0; i < meaning.length; i++) {
            values.add(new NamedValue(names[i], meaning[i]));
        }
        if (output.equals("regression")) {
            return values;
        }
        values.sort((first, second) -> Float.compare(second.number, first.number));
        int shown = Math.min(count, values.size());
        if (severalLabels && values.get(0).number >= 0.5f) {
            shown = (int) values.stream().filter(value -> value.number >= 0.5f).count();
        }
        return values.subList(0, shown);
    }

    /** Returns the same as text, a line each; of an embedding its length, its norm and its first numbers. */
    public String describe(float[] meaning, int count) {
        StringBuilder lines = new StringBuilder();
        if (output.equals("embedding")) {
            double squares = 0;
            for (float number : meaning) {
                squares += number * number;
            }
            lines.append(String.format(Locale.ROOT, "%d numbers of norm %.4f%n", meaning.length, Math.sqrt(squares)));
            for (int i = 0; i < Math.min(SHOWN_NUMBERS, meaning.length); i++) {
                lines.append(String.format(Locale.ROOT, "%.4f%n", meaning[i]));
            }
        }
        List<NamedValue> values = best(meaning, count);
        if (severalLabels && values.get(0).number < 0.5f) {
            lines.append(String.format(Locale.ROOT, "no label reaches 50%%%n"));
        }
        for (NamedValue value : values) {
            if (output.equals("regression")) {
                lines.append(String.format(Locale.ROOT, "%.4f  %s%n", value.number, value.name));
            } else {
                lines.append(String.format(Locale.ROOT, "%5.1f%%  %s%n", 100 * value.number, value.name));
            }
        }
        return lines.toString();
    }

    private static float[] softmax(float[] logits) {
        float largest = Float.NEGATIVE_INFINITY;
        for (float logit : logits) {
            largest = Math.max(largest, logit);
        }
        float[] shares = new float[logits.length];
        double sum = 0;
        for (int i = 0; i < logits.length; i++) {
            shares[i] = (float) Math.exp(logits[i] - largest);
            sum += shares[i];
        }
        for (int i = 0; i < shares.length; i++) {
            shares[i] /= (float) sum;
        }
        return shares;
    }
}
