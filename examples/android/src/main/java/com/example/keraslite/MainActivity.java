package com.example.keraslite;

import android.app.Activity;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.ImageDecoder;
import android.net.Uri;
import android.os.Bundle;
import android.widget.Button;
import android.widget.LinearLayout;
import android.widget.TextView;
import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.json.JSONException;

/** One button that asks for a picture, and below it the five most probable classes, or what else the model returns. */
public final class MainActivity extends Activity {
    private static final int PICTURE = 1;

    // All that takes time happens on this one thread, the only one that touches the classifier.
    private final ExecutorService worker = Executors.newSingleThreadExecutor();
    private ImageClassifier classifier;
    private TextView text;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        Button button = new Button(this);
        button.setText("Choose a picture");
        button.setOnClickListener(
                view -> startActivityForResult(new Intent(Intent.ACTION_GET_CONTENT).setType("image/*"), PICTURE));
        text = new TextView(this);
        LinearLayout layout = new LinearLayout(this);
        layout.setOrientation(LinearLayout.VERTICAL);
        layout.setFitsSystemWindows(true);
        layout.addView(button);
        layout.addView(text);
        setContentView(layout);
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (request == PICTURE && result == RESULT_OK && data != null) {
            Uri picture = data.getData();
            worker.execute(() -> show(classify(picture)));
        }
    }

    @Override
    protected void onDestroy() {
        worker.execute(
                () -> {
                    if (classifier != null) {
                        classifier.close();
                    }
                });
        worker.shutdown();
        super.onDestroy();
    }

    private String classify(Uri picture) {
        try {
            if (classifier == null) {
                classifier = new ImageClassifier(getAssets(), "model", 2);
            }
            Bitmap bitmap = decode(picture);
            return classifier.describe(bitmap, 5);
        } catch (IOException | JSONException | IllegalArgumentException error) {
            return error.toString();
        }
    }

    /** Decodes a picture upright, as its EXIF data say, into memory that the CPU can read. */
    private Bitmap decode(Uri picture) throws IOException {
        return ImageDecoder.decodeBitmap(
                ImageDecoder.createSource(getContentResolver(), picture),
                (decoder, info, source) -> {
                    decoder.setAllocator(ImageDecoder.ALLOCATOR_SOFTWARE);
                    decoder.setUnpremultipliedRequired(true);
                });
    }

    private void show(String lines) {
        runOnUiThread(() -> text.setText(lines));
    }
}
