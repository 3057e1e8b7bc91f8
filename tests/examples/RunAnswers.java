import com.example.keraslite.ModelAnswers;

/**
 * Prints what the app makes of a model's numbers. Arguments: the kind of output, class names with commas between, how
 * many answers to show, and the numbers. The first line is what they mean, the others what the app shows.
 */
public final class RunAnswers {
    public static void main(String[] arguments) {
        String[] names = arguments[1].isEmpty() ? new String[0] : arguments[1].split(",");
        float[] numbers = new float[arguments.length - 3];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = Float.parseFloat(arguments[i + 3]);
        }
        ModelAnswers answers = new ModelAnswers(arguments[0], names, numbers.length);
        float[] meaning = answers.interpret(numbers);
        StringBuilder line = new StringBuilder();
        for (float number : meaning) {
            line.append(number).append(' ');
        }
        System.out.println(line);
        System.out.print(answers.describe(meaning, Integer.parseInt(arguments[2])));
    }
}
