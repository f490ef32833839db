import Foundation

/// A picture that the model cannot answer.
struct PictureError: LocalizedError {
    let errorDescription: String?
}

/// From a picture to the model input: scaled, padded or cut as the model was trained with.
struct Pipeline: Decodable, Sendable {
    let height: Int
    let width: Int
    let fit: String
    let padColor: [Int]
    let widthStep: Int
    let scale: Double

    /// Where a picture lies in its model input, in pixels of the input.
    struct Frame: Equatable, Sendable {
        let inputHeight: Int
        let inputWidth: Int
        let top: Int
        let left: Int
        let rows: Int
        let columns: Int
    }

    func frame(height: Int, width: Int) throws -> Frame {
        switch fit {
        case "stretch":
            return Frame(
                inputHeight: self.height, inputWidth: self.width,
                top: 0, left: 0, rows: self.height, columns: self.width)
        case "line":
            return try lineFrame(height: height, width: width)
        case "tile":
            return tileFrame(height: height, width: width)
        default:
            let down = Double(self.height) / Double(height)
            let across = Double(self.width) / Double(width)
            let scale = fit == "crop" ? max(down, across) : min(down, across)
            let rows = max(1, Self.rounded(Double(height) * scale))
            let columns = max(1, Self.rounded(Double(width) * scale))
            return Frame(
                inputHeight: self.height, inputWidth: self.width,
                top: Self.halved(self.height - rows), left: Self.halved(self.width - columns),
                rows: rows, columns: columns)
        }
    }

    private func lineFrame(height: Int, width: Int) throws -> Frame {
        let columns = max(1, Self.rounded(Double(width * self.height) / Double(height)))
        if columns > self.width {
            throw PictureError(errorDescription: "The line is too long. Show a shorter part of it.")
        }
        let padded = widthStep * ((columns + widthStep - 1) / widthStep)
        return Frame(
            inputHeight: self.height, inputWidth: padded,
            top: 0, left: 0, rows: self.height, columns: columns)
    }

    /// One tile for the whole picture, scaled to fit: foveal itself answers large pictures tile by
    /// tile at a scale of their own.
    private func tileFrame(height: Int, width: Int) -> Frame {
        let shrink = min(
            1, Double(self.height) / Double(height), Double(self.width) / Double(width))
        return Frame(
            inputHeight: self.height, inputWidth: self.width, top: 0, left: 0,
            rows: max(1, min(self.height, Self.rounded(Double(height) * shrink))),
            columns: max(1, min(self.width, Self.rounded(Double(width) * shrink))))
    }

    /// The model input of a picture.
    func input(_ picture: Pixels) throws -> (Pixels, Frame) {
        let frame = try frame(height: picture.height, width: picture.width)
        let small = Resample.resized(picture, height: frame.rows, width: frame.columns)
        return (fit == "tile" ? mirrored(small, frame) : placed(small, frame), frame)
    }

    /// Put pixels where they belong in the model input; what is outside is cut off.
    private func placed(_ small: Pixels, _ frame: Frame) -> Pixels {
        if small.height == frame.inputHeight && small.width == frame.inputWidth {
            return small
        }
        let canvas = Pixels(height: frame.inputHeight, width: frame.inputWidth, color: padColor)
        var data = canvas.data
        let from = max(0, -frame.left)
        let to = max(0, frame.left)
        let count = min(small.width - from, frame.inputWidth - to)
        for row in max(0, frame.top)..<min(frame.inputHeight, frame.top + small.height) {
            let source = 3 * ((row - frame.top) * small.width + from)
            let target = 3 * (row * frame.inputWidth + to)
            data.replaceSubrange(
                target..<(target + 3 * count), with: small.data[source..<(source + 3 * count)])
        }
        return Pixels(height: frame.inputHeight, width: frame.inputWidth, data: data)
    }

    /// Extend a picture on the right and below by its mirror image, as tiles are.
    private func mirrored(_ small: Pixels, _ frame: Frame) -> Pixels {
        func source(_ index: Int, _ size: Int) -> Int {
            if size == 1 {
                return 0
            }
            let around = index % (2 * size - 2)
            return around < size ? around : 2 * size - 2 - around
        }
        var data = [UInt8]()
        data.reserveCapacity(3 * frame.inputHeight * frame.inputWidth)
        for row in 0..<frame.inputHeight {
            let start = source(row, small.height) * small.width
            for column in 0..<frame.inputWidth {
                let at = 3 * (start + source(column, small.width))
                data.append(contentsOf: small.data[at..<(at + 3)])
            }
        }
        return Pixels(height: frame.inputHeight, width: frame.inputWidth, data: data)
    }

    /// Round halves to the even number.
    static func rounded(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

    /// Half, rounded down, also where it is negative.
    private static func halved(_ value: Int) -> Int {
        Int((Double(value) / 2).rounded(.down))
    }
}
