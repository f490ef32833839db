import Foundation

/// The label of each pixel of a scaled picture.
struct Masks {
    let rows: Int
    let columns: Int
    let labels: [Int]
    /// The mean, over all pixels, of the probability of the pixel's label.
    let confidence: Double

    /// The label is that of the largest logit / temperature + offset, the first of equal ones.
    static func of(
        _ logits: Output, temperature: Double, offsets: [Double], rows: Int, columns: Int
    ) -> Masks {
        let (classes, width) = (logits.shape[0], logits.shape[2])
        let added = (0..<classes).map { offsets.isEmpty ? 0 : offsets[$0] * temperature }
        let plane = logits.shape[1] * width
        var labels = [Int](repeating: 0, count: rows * columns)
        var sum = 0.0
        for row in 0..<rows {
            for column in 0..<columns {
                let at = row * width + column
                var best = 0
                var largest = -Double.infinity
                for label in 0..<classes {
                    let score = Double(logits.values[label * plane + at]) + added[label]
                    if score > largest {
                        (best, largest) = (label, score)
                    }
                }
                let most = Double(logits.values[best * plane + at])
                var total = 0.0
                for label in 0..<classes {
                    total += exp((Double(logits.values[label * plane + at]) - most) / temperature)
                }
                labels[row * columns + column] = best
                sum += 1 / total
            }
        }
        return Masks(
            rows: rows, columns: columns, labels: labels, confidence: sum / Double(rows * columns))
    }
}

/// What is drawn over the picture: a small image with alpha, stretched to a part of the picture.
struct Overlay: Sendable {
    let height: Int
    let width: Int
    /// Red, green, blue, alpha; not multiplied by alpha.
    let rgba: [UInt8]
    /// The part of the overlay that lies over the whole picture, as shares: x0, y0, x1, y1. It may
    /// reach outside, where the picture was cut.
    let part: [Double]

    /// Colours of labels on a mask that can be told apart by most eyes.
    /// M. Okabe and K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/.
    private static let palette: [[UInt8]] = [
        [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66],
        [0, 114, 178], [213, 94, 0], [204, 121, 167],
    ]
    private static let opacity = 150.0

    /// Where the picture speaks for a label.
    static func evidence(
        _ evidence: Output, label: Int, isCompared: Bool, frame: Pipeline.Frame
    ) -> Overlay {
        let (classes, height, width) = (evidence.shape[0], evidence.shape[1], evidence.shape[2])
        let plane = height * width
        var own = [Float](repeating: 0, count: plane)
        for at in 0..<plane {
            var mean: Float = 0
            if isCompared && classes > 1 {
                // What speaks for this label rather than for the average one.
                for other in 0..<classes {
                    mean += evidence.values[other * plane + at] / Float(classes)
                }
            }
            own[at] = max(0, evidence.values[label * plane + at] - mean)
        }
        let peak = own.max() ?? 0
        var rgba = [UInt8]()
        rgba.reserveCapacity(4 * plane)
        for value in own {
            let share = peak > 0 ? Double(value / peak) : 0
            rgba += [255, UInt8(200 * (1 - share)), 0, UInt8(opacity * share)]
        }
        return Overlay(height: height, width: width, rgba: rgba, part: part(of: frame))
    }

    /// The labels of a mask; the background is not drawn.
    static func mask(_ mask: Masks, frame: Pipeline.Frame, hasBackground: Bool) -> Overlay {
        var rgba = [UInt8]()
        rgba.reserveCapacity(4 * mask.labels.count)
        for label in mask.labels {
            let isShown = label > 0 || !hasBackground
            let color = palette[(hasBackground ? max(0, label - 1) : label) % palette.count]
            rgba += color + [isShown ? UInt8(opacity) : 0]
        }
        return Overlay(height: mask.rows, width: mask.columns, rgba: rgba, part: [0, 0, 1, 1])
    }

    private static func part(of frame: Pipeline.Frame) -> [Double] {
        let (height, width) = (Double(frame.inputHeight), Double(frame.inputWidth))
        return [
            Double(frame.left) / width, Double(frame.top) / height,
            Double(frame.left + frame.columns) / width, Double(frame.top + frame.rows) / height,
        ]
    }
}
