import PhotosUI
import SwiftUI

/// The camera or a photo, the answer below, and what can be done.
struct ContentView: View {
    @StateObject private var viewer: Viewer
    @State private var picked: PhotosPickerItem?
    @State private var isCheckShown = false
    @State private var hasOverlay = true
    @Environment(\.scenePhase) private var phase

    init(viewer: Viewer) {
        _viewer = StateObject(wrappedValue: viewer)
    }

    var body: some View {
        NavigationStack {
            VStack(spacing: 0) {
                picture
                    .frame(maxWidth: .infinity, maxHeight: .infinity)
                    .background(.black)
                AnswerView(viewer: viewer)
                buttons
            }
            .navigationTitle(viewer.description.name)
            .navigationBarTitleDisplayMode(.inline)
            .toolbar {
                Button("About this model", systemImage: "info.circle") { isCheckShown = true }
            }
        }
        .sheet(isPresented: $isCheckShown) { CheckView(viewer: viewer) }
        .task {
            await viewer.check()
            // There are results on the first start, and again while any of them failed.
            isCheckShown = !viewer.checks.isEmpty
            await viewer.startCamera()
        }
        .onChange(of: phase) {
            if phase != .active {
                viewer.stopCamera()
            } else if viewer.mode == .camera && !viewer.isChecking {
                Task { await viewer.startCamera() }
            }
        }
        .onChange(of: picked) {
            guard let item = picked else { return }
            picked = nil
            Task {
                if let data = try? await item.loadTransferable(type: Data.self) {
                    await viewer.answerPhoto(data)
                }
            }
        }
    }

    @ViewBuilder private var picture: some View {
        if viewer.mode == .photo {
            if let photo = viewer.photo {
                Image(decorative: photo, scale: 1)
                    .resizable()
                    .overlay { map }
                    .aspectRatio(
                        CGFloat(photo.width) / CGFloat(photo.height), contentMode: .fit)
            }
        } else if viewer.isAllowed {
            CameraPreview(session: viewer.camera.session)
                .overlay { map.scaleEffect(x: viewer.position == .front ? -1 : 1) }
                .aspectRatio(Camera.aspect, contentMode: .fit)
                .accessibilityLabel("Camera")
        } else {
            ContentUnavailableView(
                "No camera", systemImage: "camera",
                description: Text("Allow the camera in Settings, or choose a photo."))
        }
    }

    @ViewBuilder private var map: some View {
        if hasOverlay, let overlay = viewer.answer?.overlay,
            let image = PictureDecoder.image(of: overlay)
        {
            OverlayView(image: image, part: overlay.part)
                .accessibilityHidden(true)
        }
    }

    private var buttons: some View {
        HStack {
            PhotosPicker(selection: $picked, matching: .images) {
                Label("Photo", systemImage: "photo")
            }
            Spacer()
            if viewer.description.task != "read" {
                Toggle("Map", systemImage: "square.3.layers.3d", isOn: $hasOverlay)
                    .toggleStyle(.button)
                    .accessibilityHint("Shows the evidence for the answer.")
                Spacer()
            }
            if viewer.mode == .photo {
                Button("Camera", systemImage: "camera") {
                    Task { await viewer.startCamera() }
                }
            } else {
                Button("Switch camera", systemImage: "arrow.triangle.2.circlepath.camera") {
                    viewer.turnCamera()
                }
                .labelStyle(.iconOnly)
                .disabled(!viewer.isAllowed)
            }
        }
        .padding()
        .background(.bar)
    }
}

/// An image of which a part lies over the whole picture.
struct OverlayView: View {
    let image: CGImage
    let part: [Double]

    var body: some View {
        GeometryReader { place in
            let width = place.size.width / (part[2] - part[0])
            let height = place.size.height / (part[3] - part[1])
            Image(decorative: image, scale: 1)
                .resizable()
                .interpolation(.medium)
                .frame(width: width, height: height)
                .offset(x: -part[0] * width, y: -part[1] * height)
        }
        .clipped()
    }
}
