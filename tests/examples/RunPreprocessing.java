import com.example.keraslite.ImagePreprocessing;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.Iterator;
import java.util.List;

/**
 * Runs the app's preprocessing on files. Arguments: height and width, height and width to scale to, whether to keep the
 * aspect, the interpolation, how many channels, their means, their standard deviations, scale, zero point, and the
 * files; a file holds width, height and pixels as big-endian integers. Beside FILE it writes FILE.int8 and FILE.float32 (big-endian).
 */
public final class RunPreprocessing {
    public static void main(String[] arguments) throws IOException {
        Iterator<String> words = List.of(arguments).iterator();
        int[] imageSize = {Integer.parseInt(words.next()), Integer.parseInt(words.next())};
        int[] resize = {Integer.parseInt(words.next()), Integer.parseInt(words.next())};
        boolean keepAspect = Boolean.parseBoolean(words.next());
        String interpolation = words.next();
        double[][] numbers = new double[2][Integer.parseInt(words.next())];
        for (double[] triple : numbers) {
            for (int i = 0; i < triple.length; i++) {
                triple[i] = Double.parseDouble(words.next());
            }
        }
        ImagePreprocessing preprocessing =
                new ImagePreprocessing(imageSize, resize, keepAspect, interpolation, numbers[0], numbers[1]);
        float scale = Float.parseFloat(words.next());
        int zeroPoint = Integer.parseInt(words.next());
        while (words.hasNext()) {
            String file = words.next();
            int width;
            int height;
            int[] argb;
            try (DataInputStream stream =
                    new DataInputStream(new BufferedInputStream(new FileInputStream(file)))) {
                width = stream.readInt();
                height = stream.readInt();
                argb = new int[width * height];
                for (int i = 0; i < argb.length; i++) {
                    argb[i] = stream.readInt();
                }
            }
            try (FileOutputStream stream = new FileOutputStream(new File(file + ".int8"))) {
                stream.write(preprocessing.toInt8(argb, width, height, scale, zeroPoint));
            }
            try (DataOutputStream stream =
                    new DataOutputStream(
                            new BufferedOutputStream(new FileOutputStream(new File(file + ".float32"))))) {
                for (float value : preprocessing.toFloat(argb, width, height)) {
                    stream.writeFloat(value);
                }
            }
        }
    }
}
