import com.example.keraslite.ModelOutputs;

/**
 * Prints what the app makes of a model's numbers. Arguments: the kind of output, class names with commas between, how
 * many of them to show, and the numbers. The first line is what they mean, the others what the app shows.
 */
public final class RunOutputs {
    public static void main(String[] arguments) {
        String[] names = arguments[1].isEmpty() ? new String[0] : arguments[1].split(",");
        float[] numbers = new float[arguments.length - 3];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = Float.parseFloat(arguments[i + 3]);
        }
        ModelOutputs outputs = new ModelOutputs(arguments[0], names, numbers.length);
        float[] meaning = outputs.interpret(numbers);
        StringBuilder line = new StringBuilder();
        for (float number : meaning) {
            line.append(number).append(' ');
        }
        System.out.println(line);
        System.out.print(outputs.describe(meaning, Integer.parseInt(arguments[2])));
    }
}
